# %% [markdown]
# # A folder of chest films through chexbox
#
# Uploads every film of a folder to a running `chexbox serve`, collects a pandas table with a row for each film, and
# shows the films with the heat maps of their positive findings laid over them.
#
# Cells are marked with `# %%`: open the file as a notebook in Jupyter (jupytext), VS Code or Spyder, or run it whole:
#
#     pip install requests pandas pillow matplotlib
#     python examples/folder.py films/ --url http://127.0.0.1:8080 --out results/
#
# A screening aid for trained staff, not a diagnosis.

# %%
import argparse
import io
import pathlib
import time

import pandas as pd
import requests
from PIL import Image

arguments = argparse.ArgumentParser(description="A folder of chest films through chexbox")
arguments.add_argument("folder", type=pathlib.Path)
arguments.add_argument("--url", default="http://127.0.0.1:8080")
arguments.add_argument("--token", help="where the service needs one")
arguments.add_argument("--ca", help="certificate of the service, for https with a certificate of its own")
arguments.add_argument("--out", type=pathlib.Path, default=pathlib.Path("results"))
options = arguments.parse_args()

session = requests.Session()
session.verify = options.ca or True
if options.token:
    session.headers["Authorization"] = f"Bearer {options.token}"


# %%
def read(path):
    """The reading of one film, or the problem that says why there is none. A full queue is waited for."""
    while True:
        answer = session.post(f"{options.url}/v1/readings", params={"name": path.name}, data=path.read_bytes(),
                              headers={"Content-Type": "application/octet-stream"})
        if answer.status_code != 503:
            return answer.json()
        time.sleep(float(answer.headers.get("Retry-After", 1)))


# %%
readings = {path: read(path) for path in sorted(options.folder.rglob("*")) if path.is_file()}
rows = []
for path, reading in readings.items():
    row = {"file": str(path), "status": reading.get("status") if "id" in reading else reading.get("code")}
    for finding in reading.get("findings") or []:
        if finding["trained"]:
            row[finding["id"]] = finding["probability"]
            row[finding["id"] + "_positive"] = finding["positive"]
    rows.append(row)
table = pd.DataFrame(rows)
options.out.mkdir(parents=True, exist_ok=True)
table.to_csv(options.out / "readings.csv", index=False)
print(table.to_string(max_cols=8))


# %%
def picture(href):
    answer = session.get(options.url + href)
    answer.raise_for_status()
    return Image.open(io.BytesIO(answer.content))


def film_of(path, reading):
    """The film as the service shows it. It forgets films after a while unless told to keep them; sent again, one is shown again."""
    address = f"/v1/readings/{reading['id']}/film.png"
    if session.head(options.url + address).status_code == 404:
        read(path)
    return picture(address)


def overlay(path, reading, finding, opacity=0.55):
    """The film with the finding's heat map faded over it."""
    film = film_of(path, reading).convert("RGBA")
    heat = picture(finding["heatmap"]).convert("RGBA").resize(film.size)
    heat.putalpha(heat.getchannel("A").point(lambda a: int(a * opacity)))
    return Image.alpha_composite(film, heat)


for path, reading in readings.items():
    for finding in reading.get("findings") or []:
        if finding["positive"]:
            overlay(path, reading, finding).save(options.out / f"{path.stem}.{finding['id']}.png")

# %% In a notebook: the first film with its positive findings, side by side
if "get_ipython" in globals():
    import matplotlib.pyplot as plt

    path, reading = next((p, r) for p, r in readings.items() if r.get("findings"))
    positive = [f for f in reading["findings"] if f["positive"]]
    figure, axes = plt.subplots(1, len(positive) + 1, figsize=(5 * (len(positive) + 1), 5), squeeze=False)
    axes[0][0].imshow(film_of(path, reading), cmap="gray")
    for axis, finding in zip(axes[0][1:], positive):
        axis.imshow(overlay(path, reading, finding))
        axis.set_title(f"{finding['name']} {finding['probability']:.2f}")
