#!/usr/bin/env python3
"""Cuts the font of the pictures out of Noto Sans CJK.

In: the installed collection (Debian package fonts-noto-cjk). Out: assets/fonts/chexbox-sans.otf
with ASCII, Latin-1, the signs of measurement and typesetting, CJK punctuation, the 3,755 hanzi of
GB 2312 level 1 and the rarer hanzi of chest radiology: a hospital's own label set is readable
without rebuilding the font. Hints, kerning and alternates are dropped: the pictures are drawn
without them. The font's name is changed, as the subset is not Noto Sans CJK any more.

    pip install fonttools
    python3 tools/subset_font.py [NotoSansCJK-Regular.ttc]
"""

import pathlib
import sys

from fontTools import subset
from fontTools.ttLib import TTCollection

SOURCE = "/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc"
TARGET = pathlib.Path(__file__).resolve().parent.parent / "assets/fonts/chexbox-sans.otf"
FAMILY = "Noto Sans CJK SC"
BYTES_MAX = 900_000

LATIN = "".join(map(chr, [*range(0x20, 0x7F), *range(0xA0, 0x100)]))
SIGNS = "‐–—‘’“”•…‰′″€™←↑→↓−√∞≈≠≤≥①②③④⑤⑥⑦⑧⑨⑩■□▲△▼▽◆◇○●★☆✓αβγδεμσω"
CJK = "、。〇〈〉《》「」『』【】〔〕・￥" + "".join(map(chr, [*range(0xFF01, 0xFF5F), *range(0x2160, 0x216C)]))
# Hanzi outside level 1 that reports of chest films and their findings use.
RADIOLOGY = (
    "膈胛胫腓髋髌骶骺骸颌肱胝腋脘腱腭膑臼眶颧颞髓"
    "瘘痰瘢痂痹痨疝疱疣痈疽疸痉疳痍痿痼瘀瘠瘥瘰疬癔癜癣癫痫痱疔"
    "嗜噬凸凹钙钡镁锶钛钽铂碘氙氡氧氮氩磷硒"
    "蜂窝柠憩罅隙窦壅囊泡颗粒栗粟绒纤维斑驳缕絮"
    "迂曲弓主肺纵隔肋膜叶裂舌尖底门淋巴结节肿瘤癌灶影"
    "梭楔弧锯齿圆锥晕环征匕哑铃蝶翼翳钝"
    "起搏器植入导管引流镜鞘针钉缝线瓣膜支架栓塞"
    "卡坦介曝乳腺沟槽楞嵴棘突椎弯脊侧凸后叠"
    "曲张瘪萎缩塌陷痕粘连渗漏滤炎脓肿痊愈阈癖"
)


def gb2312_level_1():
    """The 3,755 hanzi of rows 16 to 55, the last of which ends at cell 89."""
    cells = [(row, cell) for row in range(16, 56) for cell in range(1, 95) if (row, cell) <= (55, 89)]
    return "".join(bytes([row + 0xA0, cell + 0xA0]).decode("gb2312") for row, cell in cells)


def main():
    source = sys.argv[1] if len(sys.argv) > 1 else SOURCE
    faces = [f for f in TTCollection(source).fonts if f["name"].getDebugName(1) == FAMILY]
    if len(faces) != 1:
        sys.exit(f"{source} holds {len(faces)} faces named {FAMILY}, allowed is 1")
    font = faces[0]
    wanted = set(LATIN + SIGNS + CJK + RADIOLOGY + gb2312_level_1())

    options = subset.Options()
    options.hinting = False
    options.desubroutinize = False
    options.layout_features = []
    options.name_IDs = [0, 1, 2, 3, 4, 5, 6, 13, 14]
    options.name_languages = [0x409]
    options.notdef_outline = True
    options.drop_tables += ["BASE", "GPOS", "GSUB", "GDEF", "VORG", "vhea", "vmtx"]
    options.timing = False
    cutter = subset.Subsetter(options)
    cutter.populate(unicodes=map(ord, wanted))
    cutter.subset(font)

    for record in font["name"].names:
        text = {1: "Chexbox Sans", 3: "Chexbox Sans Regular", 4: "Chexbox Sans Regular", 6: "ChexboxSans-Regular"}
        if record.nameID in text:
            record.string = text[record.nameID]
    cff = font["CFF "].cff
    cff.fontNames = ["ChexboxSans-Regular"]
    top = cff.topDictIndex[0]
    for key, value in {"FullName": "Chexbox Sans Regular", "FamilyName": "Chexbox Sans"}.items():
        if hasattr(top, key):
            setattr(top, key, value)
    font["head"].modified = font["head"].created
    font.recalcTimestamp = False

    TARGET.parent.mkdir(parents=True, exist_ok=True)
    font.flavor = None
    font.save(TARGET)
    size = TARGET.stat().st_size
    missing = wanted - set(map(chr, font.getBestCmap()))
    print(f"{TARGET.name}: {size} bytes, {len(font.getBestCmap())} characters, the source lacks {sorted(missing)}")
    if size > BYTES_MAX:
        sys.exit(f"the font has {size} bytes, allowed are {BYTES_MAX}")


if __name__ == "__main__":
    main()
