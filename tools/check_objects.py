"""Reads our DICOM objects back with pydicom and highdicom; the judge of tests/it/dicom_objects.rs.

    python3 tools/check_objects.py sr|sc|gsps FILE FILM      says as JSON what it found; fails where something is wrong
    python3 tools/check_objects.py fhir FILE SCHEMA
"""
import json
import sys

import highdicom
import pydicom
from pydicom.sr._concepts_dict import concepts

OURS = ("99CHEXBOX", "UCUM", "RFC5646")


def codes(dataset):
    for element in dataset:
        if element.VR == "SQ":
            for item in element.value:
                yield from codes(item)
    if "CodeValue" in dataset:
        yield dataset.CodingSchemeDesignator, dataset.CodeValue, dataset.CodeMeaning


def known(scheme, value, meaning):
    entries = concepts[scheme].values()
    return any(value in entry and entry[value][0].lower() == meaning.lower() for entry in entries)


def common(made, film):
    for keyword in ("StudyInstanceUID", "PatientName", "PatientID", "PatientSex", "StudyDate", "AccessionNumber"):
        assert str(made.get(keyword, "")) == str(film.get(keyword, "")), keyword
    assert made.SeriesInstanceUID != film.SeriesInstanceUID and made.SOPInstanceUID != film.SOPInstanceUID
    assert made.SOPInstanceUID == made.file_meta.MediaStorageSOPInstanceUID
    assert made.SpecificCharacterSet == "ISO_IR 192"
    purposes = [item.PurposeOfReferenceCodeSequence[0].CodeValue for item in made.ContributingEquipmentSequence]
    assert purposes[-1] == "109102", purposes
    for code in set(codes(made)):
        assert code[0] in OURS or known(*code), f"{code} is not in the dictionary"


def sr(made, film):
    document = highdicom.sr.ComprehensiveSR.from_dataset(made)
    assert document.VerificationFlag == "UNVERIFIED" and document.PreliminaryFlag == "PRELIMINARY"
    groups = document.content.get_image_measurement_groups()
    found = []
    for group in groups:
        measured = {m.name.value: m for m in group.get_measurements()}
        images = [i for m in measured.values() for i in m.referenced_images]
        assert all(i.referenced_sop_instance_uid == film.SOPInstanceUID for i in images) and len(images) == 2
        (call,) = group.get_qualitative_evaluations()
        texts = {item.ConceptNameCodeSequence[0].CodeValue: item.TextValue for item in group[0].ContentSequence if item.ValueType == "TEXT"}
        found.append({"id": texts["112039"].split("(")[-1].rstrip(")"), "probability": measured["probability"].value,
                      "threshold": measured["operating_point"].value, "positive": call.value.meaning == "Positive",
                      "model": [texts["111001"], texts["111003"], texts["111002"]], "finding": group.finding_type.meaning})
    comments = [i.TextValue for i in document.content[0].ContentSequence if i.ValueType == "TEXT" and i.ConceptNameCodeSequence[0].CodeValue == "121106"]
    return {"findings": found, "comments": comments}


def sc(made, film):
    pixels = made.pixel_array
    assert pixels.shape == (made.Rows, made.Columns, 3) and pixels.std() > 10
    assert made.SourceImageSequence[0].ReferencedSOPInstanceUID == film.SOPInstanceUID
    return {"rows": made.Rows, "columns": made.Columns, "stamp": pixels[-27, 5].tolist()}


def gsps(made, film):
    reference = made.ReferencedSeriesSequence[0]
    assert reference.SeriesInstanceUID == film.SeriesInstanceUID
    assert reference.ReferencedImageSequence[0].ReferencedSOPInstanceUID == film.SOPInstanceUID
    lut = made.SoftcopyVOILUTSequence[0].VOILUTSequence[0]
    annotation = made.GraphicAnnotationSequence[0]
    return {"shape": made.PresentationLUTShape, "descriptor": [int(v) for v in lut.LUTDescriptor], "lut_bytes": len(lut.LUTData) if isinstance(lut.LUTData, bytes) else 2 * len(lut.LUTData),
            "texts": [t.UnformattedTextValue for t in annotation.TextObjectSequence],
            "boxes": [list(g.GraphicData) for g in annotation.get("GraphicObjectSequence", [])]}


def fhir(made, schema):
    import jsonschema

    kinds = []
    resources = [entry["resource"] for entry in made["entry"]] + [{**made, "entry": []}]
    for resource in resources:
        kind = resource["resourceType"]
        kinds.append(kind)
        one = {"$schema": schema["$schema"], "$ref": f"#/definitions/{kind}", "definitions": schema["definitions"]}
        errors = [f"{list(e.absolute_path)}: {e.message[:200]}" for e in jsonschema.Draft6Validator(one).iter_errors(resource)]
        assert not errors, (kind, errors)
    broken = {**resources[0], "status": 7, "unheard": "of"}
    one = {"$schema": schema["$schema"], "$ref": "#/definitions/DiagnosticReport", "definitions": schema["definitions"]}
    assert list(jsonschema.Draft6Validator(one).iter_errors(broken)), "the schema refuses nothing"
    return {"kinds": kinds}


def main():
    kind, made, beside = sys.argv[1:]
    if kind == "fhir":
        print(json.dumps(fhir(json.load(open(made)), json.load(open(beside)))))
        return
    made, film = pydicom.dcmread(made), pydicom.dcmread(beside)
    common(made, film)
    print(json.dumps({"sr": sr, "sc": sc, "gsps": gsps}[kind](made, film), ensure_ascii=False))


main()
