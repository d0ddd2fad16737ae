"""Draws tests/data/store/v1: a store of the first schema with three readings, by an implementation of the audit chain
of its own. Run it from the repository's root: python3 tests/data/store/draw_v1.py"""

import base64
import hashlib
import json
import re
import sqlite3
import struct
from pathlib import Path

NOW = 1_800_000_000_000
HERE = Path(__file__).parent / "v1"
NAME = b"chexbox audit 1\0"


def sha(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def sized(field):
    return struct.pack(">I", 0xFFFF_FFFF) if field is None else struct.pack(">I", len(field)) + field


def text(value):
    return None if value is None else value.encode()


def schema():
    source = (Path(__file__).parents[3] / "src/store/schema.rs").read_text()
    return re.search(r'const STEPS.*?"(.*?)"', source, re.S).group(1)


def reading(n):
    film, model = sha(struct.pack(">Q", n)), sha(b"weights")
    identity = ("DOE^JANE", "4711", "19700131", "A0815") if n == 1 else (None,) * 4
    findings = [
        {"id": "pneumothorax", "positive": n % 2 == 0, "probability": None},
        {"id": "scoliosis", "positive": None, "probability": None},
    ]
    # As serde_json writes an f32 that became an f64.
    findings[0]["probability"] = struct.unpack("f", struct.pack("f", n / 100))[0]
    record = json.dumps({"findings": findings, "number": n}, separators=(",", ":"), sort_keys=True)
    return {
        "id": base64.b32encode(sha(film, model))[:26].decode().lower(),
        "created_ms": NOW + n,
        "status": "read",
        "film_sha256": film.hex(),
        "film_name": f"film {n}.dcm",
        "film_bytes": 1_000 + n,
        "model_name": "findings25",
        "model_version": "1.0.0",
        "model_sha256": model.hex(),
        "record_json": record,
        "positives": "pneumothorax" if n % 2 == 0 else "",
        "maps": bytes([n]) * 700,
        "identified": int(n == 1),
        "patient_name": identity[0],
        "patient_id": identity[1],
        "patient_birth_date": identity[2],
        "accession": identity[3],
    }


def content(row):
    texts = ["id", "status", "film_sha256", "model_name", "model_version", "model_sha256", "record_json"]
    parts = [sized(row[name].encode()) for name in texts] + [sized(row["maps"])]
    return sha(*parts, struct.pack(">qq", row["created_ms"], row["film_bytes"])).hex()


def main():
    HERE.mkdir(exist_ok=True)
    (HERE / "chexbox.db").unlink(missing_ok=True)
    database = sqlite3.connect(HERE / "chexbox.db")
    database.execute("PRAGMA auto_vacuum = INCREMENTAL")
    database.execute("PRAGMA journal_mode = WAL")
    database.executescript(schema())
    database.execute(f"PRAGMA application_id = {0x63786278}")
    database.execute("PRAGMA user_version = 1")
    previous, count = sha(NAME), 0
    lines = ["", ""]
    for n in range(3):
        row = reading(n)
        names = ", ".join(row)
        database.execute(f"INSERT INTO readings ({names}) VALUES ({', '.join('?' * len(row))})", list(row.values()))
        count += 1
        detail = json.dumps({"content": content(row), "model": "findings25"}, separators=(",", ":"))
        fields = ["reading", "ward 3", "127.0.0.1", row["id"], detail]
        numbers = struct.pack(">qq", count, row["created_ms"])
        link = sha(NAME, previous, numbers, *(sized(text(field)) for field in fields))
        values = [count, row["created_ms"], *fields, previous, link]
        database.execute(f"INSERT INTO audit VALUES ({', '.join('?' * 9)})", values)
        previous = link
        head = f"{count:020}:{link.hex()}"
        lines[count % 2] = f"{head}:{sha(head.encode()).hex()[:8]}\n"
    database.execute("INSERT INTO state VALUES ('highest_ms', ?)", [NOW + 2])
    database.commit()
    database.close()
    (HERE / "audit.head").write_text("".join(lines))


main()
