"""Writes src/radiograph/deidentify/profile.tsv: the attributes of the Basic Application Level Confidentiality Profile
(DICOM PS3.15 table E.1-1) with their actions, as the PyPI package dicom-anonymizer has them.

    python3 -m venv venv && venv/bin/pip install dicom-anonymizer==2.1.0
    venv/bin/python tools/deidentify_profile.py > src/radiograph/deidentify/profile.tsv
"""
from dicomanonymizer.dicom_anonymization_databases import dicomfields_2026c as table
from pydicom.datadict import keyword_for_tag

ACTIONS = {"D": table.D_TAGS, "Z": table.Z_TAGS, "X": table.X_TAGS, "U": table.U_TAGS, "Z/D": table.Z_D_TAGS, "X/Z": table.X_Z_TAGS,
           "X/D": table.X_D_TAGS, "X/Z/D": table.X_Z_D_TAGS, "X/Z/U": table.X_Z_U_STAR_TAGS}
rows = {}
for action, tags in ACTIONS.items():
    for tag in tags:
        group, element = tag[0], tag[1]
        if len(tag) == 4:  # a repeating group: value and mask of group and element
            mask = (tag[2], tag[3])
            name = f"{group:04x}{element:04x}/{mask[0]:04x}{mask[1]:04x}"
            keyword = {0x5000: "CurveData", 0x3000: "OverlayData", 0x4000: "OverlayComments"}[group if group == 0x5000 else element]
        else:
            name, keyword = f"{group:04x}{element:04x}", keyword_for_tag((group, element)) or "-"
        assert name not in rows, name
        rows[name] = (action, keyword)
print("# DICOM PS3.15 table E.1-1, edition 2026c, column Basic Profile; made by tools/deidentify_profile.py")
for name in sorted(rows):
    print(name, *rows[name], sep="\t")
