"""Tables as hospitals have them become exactly the participants that were meant, or say why they cannot."""

import io
import json
import os
import re
import stat
import subprocess
import sys
import zipfile
from pathlib import Path

import openpyxl
import pandas as pd
import pytest
import yaml

from npcbook.__main__ import main
from npcbook.cohort.importing.dates import read_dates
from npcbook.cohort.importing.guess import read_name, same_words
from npcbook.cohort.importing.keys import alike, key_path, read_key, safe_ids, write_key
from npcbook.cohort.importing.mapping import read_section, replace_section, write_section
from npcbook.cohort.importing.record import import_table
from npcbook.cohort.importing.tables import _names, read_tables
from npcbook.cohort.importing.values import dictionary, guess_level, legend, read_numbers

TODAY = pd.Timestamp(2024, 6, 30)


@pytest.fixture
def hospital(tmp_path):
    """Write files, import them by the first run's guess and some edits, and return what comes of it."""

    def run(files, edits=()):
        for name, content in files.items():
            if isinstance(content, bytes):
                (tmp_path / name).write_bytes(content)
                continue
            with pd.ExcelWriter(tmp_path / name) as book:
                for sheet, table in content.items():
                    table.to_excel(book, sheet_name=sheet, index=False)
        paths, out = [tmp_path / name for name in files], tmp_path / "cohort"
        if not (out / "map.yml").exists():
            assert import_table(paths, out, today=TODAY)[0] == 0
        text = (out / "map.yml").read_text("utf-8")
        for old, new in edits:
            assert text.count(old) == 1, (old, text)
            text = text.replace(old, new)
        (out / "map.yml").write_text(text, "utf-8")
        return out, *import_table(paths, out, today=TODAY)

    return run


def participants(out):
    return (out / "participants.tsv").read_text("utf-8").replace("\t", "|").splitlines()


ENGLISH = b"""\
Patient ID,Age at diagnosis,Sex,Primary site,T stage,N stage,M stage,Histology,Chemo,RT Start,\
Distant,Date Distant,Vital status,Date of Death,Last FU,LDH (U/L),EBV DNA,Notes
A-1,62.6,M,Nasopharynx,cT2a,n1,M0,WHO III,Cisplatin x3,2/20/2010,\
Yes,2/20/2011,Dead,2/20/2012,2/20/2012,"1,200",<500,
A-2,45,F,nasopharynx,T3 (2),N3a,M0,WHO II,none,3/1/2010,\
,,Alive,,3/1/2015,180,"12,000",x
,,,,,,,,,,,,,,,,,
A-3,50,male,Nasopharynx,T1,N0,M0,WHO III,Carboplatin,3/4/2010,,,Alive,,3/13/2015,NA,0,
A-4,51,Female,Larynx,T4b,N2c,M0,SCC,none,4/4/2010,,,Alive,,4/13/2015,200,,
A-5,52,Female,Nasopharynx,T4,N2,M1,WHO III,none,4/4/2010,,,Alive,,4/13/2015,200,,
"""


def test_an_english_table_with_commas(hospital):
    edits = [
        ('ldh: {from: LDH (U/L), above: "?"', "ldh: {from: LDH (U/L), above: 240"),
        ('ebv_dna: {from: EBV DNA, above: "?"', "ebv_dna: {from: EBV DNA, above: 0"),
    ]
    out, status, _ = hospital({"clinic.csv": ENGLISH}, edits)
    assert status == 0
    assert participants(out) == [
        "patient_id|center|cohort|age|sex|who_type|t_stage|n_stage|ldh|ebv_dna|chemotherapy|dmfs_months|dm_event"
        "|os_months|os_event|ldh_u_l|ebv_copies_ml|exclusion",
        "A1|1|training|62.6|male|III|T2|N1|abnormal|undetectable|cisplatin_nedaplatin|11.992|1|23.984|1|1200||",
        "A2|1|training|45|female|II|T3|N3|normal|detectable|none|59.992|0|59.992|0|180|12000|",
        "A3|1|training|50|male|III|T1|N0||undetectable|other|60.287|0|60.287|0||0|",
        "A4|1|training||||||||||||||primary tumour outside the nasopharynx".replace(
            "||||||||||||||", "|" * 15
        ),
        "A5|1|training||||||||||||||distant metastasis at diagnosis".replace("||||||||||||||", "|" * 15),
    ]


GERMAN = """\
Export vom 3.5.2024;;;;;;;;;
PatNr;Geschlecht;Alter;T-Stadium;N-Stadium;Chemotherapie;Beginn RT;Fernmetastase;Datum Fernmetastase;\
Letzte Kontrolle;Verstorben;Todesdatum
0017;weiblich;45,5;T1;N1;Nein;1.2.2015;nein;;15.2.2020;nein;
0018;männlich;61,25;pT2;N0;Cisplatin;3.2.2015;ja;1.6.2016;3.3.2017;ja;4.3.2017
"""


def test_a_german_table_with_semicolons_decimal_commas_and_days_first(hospital):
    out, status, _ = hospital({"klinik.csv": GERMAN.encode("cp1252")})
    assert status == 0
    assert participants(out) == [
        "patient_id|center|cohort|age|sex|t_stage|n_stage|chemotherapy|dmfs_months|dm_event|os_months|os_event"
        "|exclusion",
        "0017|1|training|45.5|female|T1|N1|none|60.452|0|60.452|0|",
        "0018|1|training|61.25|male|T2|N0|cisplatin_nedaplatin|15.901|1|24.969|1|",
    ]
    assert "day-first" in (out / "import.md").read_text("utf-8")


CHINESE = """\
住院号,姓名,性别,年龄\uff08岁\uff09,病理类型,T分期,N分期,化疗方案,顺铂累积剂量,\
血浆EBV DNA,放疗开始日期,远处转移(0=无 1=有),远处转移日期,末次随访日期,死亡,死亡日期,是否排除
ZY2010-001,张三,男,\uff14\uff15,未分化型非角化癌,T2,N1,顺铂,200,阳性,2010年3月1日,1,2012年3月1日,2013年3月1日,是,2013年3月1日,否
ZY2010-002,李四,女,52,分化型非角化癌,T1,N1,单纯放疗,0,阴性,2010年4月15日,0,,2016年4月15日,否,,否
ZY2010-003,王五,男,60,角化性鳞癌,T2,N0,奈达铂,240,不详,2010年5月1日,0,,2015年5月1日,否,,失访
"""


def test_a_chinese_table_in_gb18030(hospital):
    out, status, lines = hospital({"病历.csv": CHINESE.encode("gb18030")})
    assert status == 0, lines
    assert participants(out) == [
        "patient_id|center|cohort|age|sex|who_type|t_stage|n_stage|ebv_dna|chemotherapy|ccnd_mg_m2|dmfs_months"
        "|dm_event|os_months|os_event|exclusion",
        "ZY2010001|1|training|45|male|III|T2|N1|detectable|cisplatin_nedaplatin|200|24.016|1|36.008|1|",
        "ZY2010002|1|training|52|female|II|T1|N1|undetectable|none|0|72.016|0|72.016|0|",
        "ZY2010003|1|training|||||||||||||失访",
    ]
    assert "张三" not in "".join(path.read_text("utf-8") for path in out.iterdir())


def test_text_is_read_and_written_alike_where_the_computer_s_own_encoding_is_another(hospital, tmp_path):
    out, _, _ = hospital({"list.csv": CHINESE.encode("gb18030")})
    elsewhere = {"NPCBOOK_ROOT": tmp_path / "root", "LC_ALL": "C"}
    elsewhere |= {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    command = [sys.executable, "-m", "npcbook", "import", "table", out.parent / "list.csv", "--out", "again"]
    for _ in range(2):
        done = subprocess.run(
            command, env=os.environ | elsewhere, cwd=tmp_path, check=False, capture_output=True
        )
        assert done.returncode == 0, done.stderr.decode()
    assert participants(tmp_path / "again") == participants(out)
    assert done.stdout.isascii()


UNICODE = """\
Case\tHospital\tGroup\tGender (1=male, 2=female)\tDOB\tcT\tcN\tENE\t\
Treatment start\tDMFS status\tDMFS (days)\tOS status\tOS (days)\tRT end date
7\tWest\ttrain\t1\t5-Jan-1960\t1\t1\tGrade 1\t5-Jan-2010\tno\t1461\talive\t1461\t20-Feb-10
8\tEast\ttest\t2\t5-Jan-1970\t2\t0\tno\t5-Jan-2010\tyes\t365\tdead\t731\t2010-02-20
"""


def test_a_unicode_export_with_lengths_in_days_and_birthdays(hospital):
    out, status, lines = hospital({"export.txt": UNICODE.encode("utf-16")})
    assert status == 0, lines
    assert participants(out) == [
        "patient_id|center|cohort|age|sex|t_stage|n_stage|rene|dmfs_months|dm_event|os_months|os_event"
        "|rt_end_months|exclusion",
        "7|West|training|50.001|male|T1|N1|1|48|0|48|0|1.511|",
        "8|East|validation|40|female|T2|N0|0|11.992|1|24.016|1|1.511|",
    ]


def workbook():
    clinic = pd.DataFrame(
        {
            "MRN": ["001", "002", "003"],
            "Gender": ["F", "M", "M"],
            "Age": [40, 50.5, 60],
            "Start date": pd.to_datetime(["2015-01-05", "2015-02-05", "2015-03-05"]),
            "T": ["T2", "T1", "T2"],
            "N": ["N0", "N1", "N1"],
        }
    )
    follow_up = pd.DataFrame(
        {
            "MRN": [1, 2, 3],
            "Last contact": [43831, 43832, 43833],
            "Distant metastasis date": [None, 42500, None],
            "Status": ["Alive", "Alive", "Dead"],
            "Death date": [None, None, 43833],
        }
    )
    return {
        "Clinic": clinic,
        "Follow-up": follow_up,
        "Legend": pd.DataFrame({"what": ["T: tumour"], "x": [1]}),
    }


def labs():
    return pd.DataFrame({"MRN": ["001", "003"], "LDH": ["normal", "elevated"]})


def test_sheets_and_files_joined_by_id_with_dates_as_excels_numbers(hospital):
    out, status, lines = hospital({"clinic.xlsx": workbook(), "labs.xlsx": {"Labs": labs()}})
    assert status == 0, lines
    assert participants(out) == [
        "patient_id|center|cohort|age|sex|t_stage|n_stage|ldh|dmfs_months|dm_event|os_months|os_event"
        "|exclusion",
        "001|1|training|40|female|T2|N0|normal|59.86|0|59.86|0|",
        "002|1|training|50.5|male|T1|N1||15.113|1|58.875|0|",
        "003|1|training|60|male|T2|N1|abnormal|57.988|0|57.988|1|",
    ]
    assert "without zeros at their beginning" in (out / "import.md").read_text("utf-8")


REGISTRY = b"""\
id;sex;t;n;fu_days;dead;dm;dm_days
r1;m;2;1;1200;0;0;
r2;f;1;1;800;1;1;400
r3;f;2;0;90;0;;
"""


def test_a_registry_with_lengths_in_days_and_no_dates(hospital):
    edits = [("        '':   # 1 empty", "        '': 0")]
    out, status, lines = hospital({"registry.csv": REGISTRY}, edits)
    assert status == 0, lines
    assert participants(out) == [
        "patient_id|center|cohort|sex|t_stage|n_stage|dmfs_months|dm_event|os_months|os_event|exclusion",
        "r1|1|training|male|T2|N1|39.425|0|39.425|0|",
        "r2|1|training|female|T1|N1|13.142|1|26.283|1|",
        "r3|1|training|female|T2|N0|2.957|0|2.957|0|",
    ]


CODES = """\
id,hospital,age,t,n,ENE,chemo,ebv,exclusion,site code,os_months,dead,dmfs_months,dm,mutation
1,1,45,1,1,2,1,1,0,9,60,0,60,0,0
2,1,50,2,0,0,0,0,0,9,40,1,30,1,0
3,2,55,2,1,1,1,1,0,9,70,0,50,1,1
4,2,60,1,1,0,0,0,0,3,80,0,80,0,0
5,2,65,2,1,0,1,1,3,9,20,1,10,1,0
10,2,,1,0,,,,,9,75,0,75,0,1
"""
SITE = [("\n  exclude:", "\n  exclude:\n    - {reason: other site, column: site code, values: ['3']}\n    #")]


@pytest.mark.parametrize("written", ["1", "1.0", "1.00", "1.000", "1,0"])
@pytest.mark.parametrize("in_map", [False, True])
def test_codes_with_decimals_of_zero_are_the_codes_in_every_column_and_in_the_map(hospital, written, in_map):
    text = CODES.replace(",", ";") if "," in written else CODES
    text = re.sub(r"(?<=\d)(?=[;,\n])", written[1:], text)
    out, status, lines = hospital({"codes.csv": text.encode()}, SITE)
    if in_map:  # as somebody writes it who looks into the file
        path = out / "map.yml"
        path.write_text(re.sub(r"'(\d)'", rf"'\1{written[1:4]}'", path.read_text("utf-8")), "utf-8")
        out, status, lines = hospital({"codes.csv": text.encode()})
    assert status == 0, lines
    assert participants(out) == [
        "patient_id|center|cohort|age|t_stage|n_stage|ebv_dna|rene|chemotherapy|dmfs_months|dm_event|os_months"
        "|os_event|exclusion",
        "1|1|training|45|T1|N1|detectable|2|unspecified|60|0|60|0|",
        "2|1|training|50|T2|N0|undetectable|0|none|30|1|40|1|",
        "3|2|training|55|T2|N1|detectable|1|unspecified|50|1|70|0|",
        "4|2|training|||||||||||other site",
        "5|2|training|||||||||||3",
        "10|2|training||T1|N0||||75|0|75|0|",
    ]


def test_empty_events_are_not_denied_where_a_code_beside_them_is_not_understood(hospital):
    table = b"id,os_months,dead,dmfs_months,dm\na,10,1,10,\nb,20,0,20,2\nc,30,0,30,1\n"
    out, status, _ = hospital({"codes.csv": table})
    assert status == 3  # which of 1 and 2 is the event
    assert "        '':   # 1 empty" in (out / "map.yml").read_text("utf-8")


DATES = """\
id,RT start,Distant metastasis date,Death date,Last visit,T
a,1/2/2010,,,3/4/2015,1
b,1/2/2010,1/1/2010,,3/4/2015,1
c,1/2/2010,5/5/2014,3/4/2014,3/4/2014,2
d,1/2/2010,,31/31/2014,3/4/2015,2
e,1/2/2010,,,3/4/2029,2
f,1/2/2010,,3/4/2014,3/4/2015,2
g,,,,3/4/2015,2
"""
KINDS = {
    "metastasis at time zero or before": "b",
    "metastasis after death or the last visit": "c",
    "Death date is no date": "d",
    "Last visit lies in the future": "e",
    "last visit after death": "f",
    "no follow-up after time zero": "g",
}


def test_dates_that_could_be_read_either_way_are_asked_and_nothing_is_written(hospital):
    out, status, lines = hospital({"a.csv": DATES.replace("31/31", "3/4").encode()})
    assert status == 3
    assert sum("day-first or month-first?" in line for line in lines) == 4
    assert sorted(path.name for path in out.iterdir()) == ["map.yml"]
    assert not key_path(out).exists()


def order(policy):
    columns = ["RT start", "Distant metastasis date", "Death date", "Last visit"]
    dates = "".join(f"    {column}: day-first\n" for column in columns)
    return [('  impossible: "?"', f"  dates:\n{dates}  impossible: {policy}")]


def test_impossible_values_are_listed_with_ids_and_wait_for_an_answer(hospital):
    out, status, lines = hospital({"a.csv": DATES.encode()}, order('"?"'))
    assert status == 3
    for kind, patient in KINDS.items():
        assert f"impossible: {kind}: 1 ({patient})" in lines
    assert not (out / "participants.tsv").exists()


@pytest.mark.parametrize(
    ("policy", "left", "event", "months"),
    [("exclude", 1, "", ""), ("missing", 7, "", ""), ("keep", 7, "1", "-1.018")],
)
def test_impossible_values_are_treated_as_the_map_says(hospital, policy, left, event, months):
    out, status, _ = hospital({"a.csv": DATES.encode()}, order(policy))
    assert status == 0
    table = pd.read_csv(out / "participants.tsv", sep="\t", dtype=str, keep_default_na=False)
    table = table.set_index("patient_id")
    assert (table["exclusion"] == "").sum() == left
    assert tuple(table.loc["b", ["dm_event", "dmfs_months"]]) == (event, months)
    assert table["os_months"]["a"] == "61.996"
    if policy == "exclude":
        assert table["exclusion"]["b"] == "impossible: metastasis at time zero or before"
    record = (out / "import.md").read_text("utf-8")
    assert all(f"{kind}: 1 ({patient})" in record for kind, patient in KINDS.items())


def test_whose_the_ids_are_stays_outside_the_cohort_for_its_owner_alone(hospital):
    out, status, lines = hospital({"clinic.csv": ENGLISH.replace(b"A-", "张-".encode())}, NO_LABS)
    assert status == 0
    assert read_key(out) == {f"张-{n}": f"P00{n}" for n in range(1, 6)}
    assert key_path(out).parent == out.parent
    assert stat.S_IMODE(key_path(out).stat().st_mode) == 0o600
    assert any("never give it away" in line for line in lines)
    assert "张" not in "".join(path.read_text("utf-8") for path in out.iterdir())


NO_LABS = [
    (f'{name}: {{from: {column}, above: "?"', f"{name}: {{from: {column}, above: 1")
    for name, column in (("ldh", "LDH (U/L)"), ("ebv_dna", "EBV DNA"))
]


def test_ids_and_scanners_of_images_that_lie_there_already_are_kept(hospital, tmp_path):
    (tmp_path / "cohort" / "sub-P007").mkdir(parents=True)
    write_key(tmp_path / "cohort", {"A0001": "P007"})
    (tmp_path / "cohort" / "participants.tsv").write_text("patient_id\tscanner\tage\nP007\tOurs\t70\n")
    out, status, _ = hospital({"clinic.csv": ENGLISH.replace(b"A-1,", b"a-0001,")}, NO_LABS)
    assert status == 0
    table = pd.read_csv(out / "participants.tsv", sep="\t", dtype=str, keep_default_na=False)
    assert list(table["patient_id"]) == ["P007", "P001", "P002", "P003", "P004"]
    assert list(table["scanner"]) == ["Ours", "", "", "", ""]
    assert table["age"][0] == "62.6"


def test_what_the_map_says_is_kept_with_the_cohort_and_a_second_import_replaces_the_first(hospital):
    out, _, _ = hospital({"clinic.csv": ENGLISH}, NO_LABS)
    description = json.loads((out / "dataset_description.json").read_text("utf-8"))
    assert description["synthetic"] is False
    assert description["eligibility"] == "any"
    assert description["SourceDatasets"][0]["File"] == "clinic.csv"
    before = participants(out)
    out, status, _ = hospital({"clinic.csv": ENGLISH}, [("        F: female", "        F: ")])
    assert status == 0
    assert participants(out) == [row.replace("|45|female|", "|45||") for row in before]
    (out / "dataset_description.json").write_text("{}")
    key_path(out).unlink()
    with pytest.raises(FileExistsError, match="was not imported"):
        hospital({"clinic.csv": ENGLISH})


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("from: Sex", "from: Sax", "did you mean 'Sex'?"),
        ("    age:", "    agee:", "there is no 'agee' (did you mean age?)"),
        ("ids: letters\n", "ids: mine\n", "ids is 'mine'; it must be one of letters, new"),
        ("id: Patient ID", "id: Patient", "there is no column 'Patient' for id"),
        ("zero: RT Start", "begin: RT Start", "times: there is no 'begin'"),
        ("        M: male", "        M: man", "'man' is no level"),
        ("from: Sex", "from: [Sex]", "no table has a column ['Sex']"),
        ("zero: RT Start", "zero: {a: {b: c}}", "no table has a column {'a'"),
        ("{id: Patient ID}", "[x]", "table needs 'files:"),
        ("{id: Patient ID}", "{id: {a: b}}", "table needs 'files:"),
    ],
)
def test_a_map_that_cannot_be_followed_says_where_and_what_is_meant(hospital, old, new, said):
    try:
        _, status, lines = hospital({"clinic.csv": ENGLISH}, [*NO_LABS, (old, new)])
        assert status == 3
    except ValueError as error:
        lines = str(error).splitlines()
    assert any(said in line for line in lines)


def test_tables_that_cannot_be_joined_or_read_are_refused_in_a_sentence(hospital):
    with pytest.raises(ValueError, match="none of its ids"):
        hospital({"clinic.csv": ENGLISH, "other.csv": b"id,LDH\n77,1\n78,2\n"})
    with pytest.raises(ValueError, match="save it as"):
        hospital({"old.xls": b"\xd0\xcf\x11\xe0" + bytes(100)})
    with pytest.raises(ValueError, match="No column looks like patients' ids"):
        hospital({"no.csv": b"a,b\n1,2\n3,4\n", "none.csv": b"c,d\n1,2\n3,4\n"})
    with pytest.raises(ValueError, match="is no text"):
        hospital({"binary.csv": b"\x00\x01\x02" * 10 + b"a,b,c,d" * 40})


def test_controls_and_line_breaks_make_no_map_that_cannot_be_read(hospital):
    table = ENGLISH.replace(b"Notes", b"No\x1btes").replace(b",180,", b",18\x070,")
    out, status, lines = hospital({"a\nclinic: #'.csv": table}, [*NO_LABS[1:]])
    assert status in (0, 3)
    assert all(letter >= " " or letter == "\n" for letter in (out / "map.yml").read_text("utf-8"))
    # Two numbers are not made one.
    assert any("no number" in line for line in lines) or "18 0" in (out / "import.md").read_text("utf-8")


def test_sheets_of_the_same_columns_are_hospitals(hospital):
    sheet = pd.DataFrame({"ID": ["x1", "x2"], "Sex": ["M", "F"], "OS (months)": [10, 60.5], "Death": [1, 0]})
    other = sheet.assign(ID=["y1", "y2"])
    out, status, _ = hospital({"all.xlsx": {"North": sheet, "South": other}})
    assert status == 0
    assert participants(out)[1:] == [
        "x1|North|training|male|10|1|",
        "x2|North|training|female|60.5|0|",
        "y1|South|training|male|10|1|",
        "y2|South|training|female|60.5|0|",
    ]


def test_a_sheet_of_one_line_is_a_note_and_no_table(hospital):
    sheet = pd.DataFrame({"ID": ["x1", "x2"], "OS (months)": [10, 60.5], "Death": [1, 0]})
    note = pd.DataFrame(columns=["LDH: upper limit 250 U/L"])
    out, status, _ = hospital({"all.xlsx": {"Data": sheet, "Notes": note}})
    assert status == 0
    assert participants(out)[1:] == ["x1|1|training|10|1|", "x2|1|training|60.5|0|"]
    with pytest.raises(ValueError, match="holds no table"):
        hospital({"note.xlsx": {"Notes": note}})


@pytest.mark.parametrize(
    ("values", "center"), [(["West", "East"], ["West", "East"]), (["Nasopharynx"] * 2, ["1", "1"])]
)
def test_a_site_is_a_hospital_unless_it_is_where_the_tumour_is(hospital, values, center):
    rows = [f"p{n},{value},{n}0,1" for n, value in enumerate(values, start=1)]
    out, _, _ = hospital({"x.csv": "\n".join(["id,site,OS months,Death", *rows]).encode()})
    assert [line.split("|")[1] for line in participants(out)[1:]] == center


WORDY = """\
Hospital No.,Start of RT,Distant mets,Date of distant mets,Date of last contact,Status at last contact,\
Cumulative DDP,LDH > ULN,WHO histology,Completion of irradiation,DM 2,Total dose
h1,2010-01-05,Y,2011-01-05,2012-01-05,DOD,160,Yes,WHO III,2010-02-20,1,70
h2,2010-01-05,N,,2014-01-05,NED,0,No,WHO II,2010-02-20,0,70
"""


def test_names_of_columns_are_known_by_their_words_in_any_order(hospital):
    out, status, lines = hospital({"x.csv": WORDY.encode()})
    assert status == 0, lines
    assert participants(out) == [
        "patient_id|center|cohort|who_type|ldh|ccnd_mg_m2|dmfs_months|dm_event|os_months|os_event"
        "|rt_end_months|exclusion",
        "h1|1|training|III|abnormal|160|11.992|1|23.984|1|1.511|",
        "h2|1|training|II|normal|0|48|0|48|0|1.511|",
    ]
    assert same_words("Date of Distant Mets") == same_words("distant metastasis date")
    # Neither diabetes nor the dose of radiotherapy is anything of these.
    assert "#   DM 2: 1 1, 0 1\n  #   Total dose: " in (out / "map.yml").read_text("utf-8")


def sheet_of(rows, merged=()):
    """Return a workbook of one sheet with cells that reach over several, as bytes."""
    book, file = openpyxl.Workbook(), io.BytesIO()
    for row in rows:
        book.active.append(row)
    for cells in merged:
        book.active.merge_cells(cells)
    book.save(file)
    return file.getvalue()


def test_a_formula_without_its_result_is_refused(hospital):
    rows = [["ID", "Months", "Metastasis"], *([f"p{n}", f"=10+{n}", "no"] for n in range(4))]
    with pytest.raises(
        ValueError, match=r"x\.xlsx holds a formula whose result is not stored \(cell B2 of sheet1\)"
    ):
        hospital({"x.xlsx": sheet_of(rows)})


COMPUTED = {b'fullCalcOnLoad="1"': b""}


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        (b'<c r="B2"><f>0+1</f><v>1</v></c>', "1"),
        (b'<c r="B2" t="str"><f>IF(0,1,"")</f><v></v></c>', ""),
        (b'<c r="B2" t="str"><f>IF(0,1,"")</f><v/></c>', ""),
        (b'<c r="B2" t="str"><f>10+1</f></c>', None),  # as R's openxlsx writes it
        (b'<c s="1" r="B2"><f>10+1</f></c>', None),
        (b'<c r="B2"><f t="shared" si="0"/></c>', None),
        (b'<c r="B2"><f>10+1</f><v> </v></c>', None),
    ],
)
def test_whether_a_formula_has_a_result_is_told_for_all_who_write_them(tmp_path, cell, said):
    path = workbook_with(tmp_path, COMPUTED | {b'<c r="B2" t="n"><v>1</v></c>': cell})
    if said is None:
        with pytest.raises(ValueError, match="result is not stored"):
            read_tables([path])
        return
    (source,) = read_tables([path])
    assert source.table.to_numpy().tolist() == [["p1", said, "2"], ["p2", "1", "2"]]


def test_a_result_of_0_that_nothing_has_computed_is_no_result(tmp_path):
    # XlsxWriter leaves it to the next reader to compute everything.
    cell = {b'<c r="B2" t="n"><v>1</v></c>': b'<c r="B2"><f>10+1</f><v>0</v></c>'}
    with pytest.raises(ValueError, match="result is not stored"):
        read_tables([workbook_with(tmp_path, cell)])


def test_a_damaged_workbook_is_one_sentence(tmp_path):
    path = workbook_with(tmp_path, {})
    with zipfile.ZipFile(path) as archive:
        start = archive.getinfo("xl/worksheets/sheet1.xml").header_offset + 80
    path.write_bytes((data := path.read_bytes())[:start] + b"\0" * 20 + data[start + 20 :])
    with pytest.raises(ValueError, match="cannot be read as a workbook"):
        read_tables([path])


def workbook_with(folder, changes):
    """Write two patients with two numbers each, and what is between them as another program has it."""
    path = folder / "x.xlsx"
    path.write_bytes(sheet_of([["ID", "A", "B"], ["p1", 1, 2], ["p2", 1, 2]]))
    with zipfile.ZipFile(path) as old:
        parts = {name: old.read(name) for name in old.namelist()}
    for before, after in changes.items():
        assert sum(before in data for data in parts.values()) == 1
        parts = {name: data.replace(before, after) for name, data in parts.items()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for name, data in parts.items():
            new.writestr(name, data)
    return path


GROUPS = [
    ["Record No.", "Baseline", None, "LDH", None, "Distant metastasis", None, "Death", None, "Last visit"],
    [None, "Sex", "RT start", "Value", "Limit", "Yes/No", "Date", "Yes/No", "Date", None],
    ["r1", "M", "2010-01-05", 300, 250, "Yes", "2011-01-05", "Yes", "2012-01-05", "2012-01-05"],
    ["r2", "F", "2010-01-05", 200, 250, "No", None, "No", None, "2014-01-05"],
]
MERGED = ["A1:A2", "B1:C1", "D1:E1", "F1:G1", "H1:I1", "J1:J2"]


@pytest.mark.parametrize("form", ["ids below", "ids above", "a title above", "few groups", "text"])
def test_names_in_two_lines_with_cells_that_reach_over_several_are_put_together(hospital, form):
    rows, merged, name = [list(row) for row in GROUPS], MERGED, "x.xlsx"
    if form == "ids below":
        rows[0][0], rows[1][0] = None, "Record No."
        rows[0][9], rows[1][9] = None, "Last visit"
        merged = [cells for cells in MERGED if cells[0] not in "AJ"]
    if form == "a title above":
        rows, merged = [["Exported 2020-01-01"], *rows], []
    if form == "few groups":  # the second line holds most names
        rows[0] = ["Record No.", *[None] * 4, "Distant metastasis", None, "Death", None, "Last visit"]
        rows[1][3:5], merged = ["LDH", "LDH limit"], []
    if form == "text":
        name = "x.csv"
    text = "\n".join(",".join("" if cell is None else str(cell) for cell in row) for row in rows).encode()
    out, status, lines = hospital({name: text if form == "text" else sheet_of(rows, merged)})
    assert status == 0, lines
    # Which column holds the limits is told by its name.
    assert re.search(
        r"above: .*Limit.*}  # 2 numbers, 200 to 300; the limit\?", (out / "map.yml").read_text(), re.I
    )
    assert participants(out) == [
        "patient_id|center|cohort|sex|ldh|dmfs_months|dm_event|os_months|os_event|ldh_u_l|exclusion",
        "r1|1|training|male|abnormal|11.992|1|23.984|1|300|",
        "r2|1|training|female|normal|48|0|48|0|200|",
    ]


@pytest.mark.parametrize(
    ("name", "cells", "taken"),
    [
        ("LDH_upper_limit", (250, 240), True),
        ("LDH ULN (U/L)", (250, 240), True),
        ("LDH_lower_limit", (120, 110), False),
        ("LDH limit (lower)", (120, 110), False),
        ("LDH_ULN_ratio", (12, 14), False),
        ("LDH/ULN", (12, 14), False),
        ("LDH > ULN", (1, 0), False),
        ("LDH limits", ("120-250", "110-240"), False),
    ],
)
def test_only_a_column_of_upper_limits_is_taken_for_them(hospital, name, cells, taken):
    table = f"id,LDH,{name},DM,DMFS months\na,300,{cells[0]},1,10\nb,200,{cells[1]},0,40\n"
    question = [] if taken else [('above: "?"', "above: 250")]
    out, status, _ = hospital({"x.csv": table.encode()}, question)
    assert status == 0
    assert [line.split("|")[3] for line in participants(out)] == ["ldh", "abnormal", "normal"]


REDCAP = b"""\
record_id,dag,sex,histo,ldh_c,ebv_c,rt_dt,dm_yn,dm_dt,vit,last_dt
1,1,1,2,0,9,2010-01-05,1,2011-01-05,2,2012-01-05
2,2,2,3,1,0,2010-01-05,0,,0,2014-01-05
"""
CODEBOOK = b"""\
"Variable / Field Name","Form Name","Field Type","Field Label","Choices, Calculations, OR Slider Labels"
record_id,demo,text,"Record ID",
dag,demo,dropdown,Hospital,"1, West | 2, East"
sex,demo,radio,Sex,"1, Male | 2, Female"
histo,demo,radio,"<b>WHO type</b>","2, Nonkeratinizing, differentiated | 3, Nonkeratinizing, undifferentiated"
ldh_c,lab,radio,LDH,"0, Normal | 1, Above ULN"
ebv_c,lab,radio,EBV DNA,"0, Not detected | 1, Detected | 9, Not tested"
rt_dt,tx,text,"Date of RT start",
dm_yn,fu,yesno,"Distant metastasis (yes/no)","1, Yes | 0, No"
dm_dt,fu,text,"Date of distant metastasis",
vit,fu,radio,"Vital status","0, Alive | 1, Dead of disease | 2, Dead (other cause)"
last_dt,fu,text,"Date of last contact or death",
"""
OWN = {
    b'"Variable / Field Name"': b"Variable",
    b'"Field Label"': b"Description",
    b'"Choices, Calculations, OR Slider Labels"': b"Values",
    b", ": b"=",
    b" | ": b"; ",
    b"keratinizing=": b"keratinizing, ",
}


@pytest.mark.parametrize("of_redcap", [True, False])
def test_a_data_dictionary_explains_names_and_codes_of_the_tables_beside_it(hospital, of_redcap):
    codebook = CODEBOOK
    for old, new in {} if of_redcap else OWN.items():
        codebook = codebook.replace(old, new)
    out, status, lines = hospital({"codebook.csv": codebook, "data.csv": REDCAP})
    assert status == 0, lines
    assert participants(out) == [
        "patient_id|center|cohort|sex|who_type|ldh|ebv_dna|dmfs_months|dm_event|os_months|os_event|exclusion",
        "1|West|training|male|II|normal||11.992|1|23.984|1|",
        "2|East|training|female|III|abnormal|undetectable|48|0|48|0|",
    ]
    assert "called as a data dictionary says" in (out / "import.md").read_text("utf-8")


def test_a_table_that_explains_no_other_is_no_data_dictionary(hospital):
    table = b"id,Field,Description,OS months,Death\na,3.0,x,10,1\nb,1.5,y,20,0\n"
    out, status, _ = hospital({"x.csv": table})
    assert status == 0
    assert len(participants(out)) == 3


def test_a_first_failure_is_a_metastasis_where_it_is_distant(hospital):
    table = b"""\
Chart #,Start of treatment,First failure,Date of first failure,Last known alive,Disease status
a,2010-01-05,none,,2014-01-05,NED
b,2010-01-05,distant + local,2011-01-05,2012-01-05,DOD
c,2010-01-05,locoregional,2011-01-05,2014-01-05,LTFU
"""
    out, status, lines = hospital({"x.csv": table})
    assert status == 3
    assert "impossible: date of metastasis, though First failure denies it: 1 (c)" in lines
    _, status, _ = hospital({"x.csv": table}, [('impossible: "?"', "impossible: keep")])
    assert status == 0
    assert [line.split("|")[3:7] for line in participants(out)[1:]] == [
        ["48", "0", "48", "0"],
        ["11.992", "1", "23.984", "1"],
        ["48", "0", "48", "0"],
    ]


def test_the_command_line_stops_for_the_user_to_look_and_then_converts(tmp_path, capsys):
    (tmp_path / "r.csv").write_bytes(REGISTRY.replace(b"0;;", b"0;0;"))
    command = ["import", "table", str(tmp_path / "r.csv"), "--out", str(tmp_path / "c")]
    assert main(command) == 0
    assert "give the same command again" in capsys.readouterr().out
    assert main(command) == 0
    assert len(participants(tmp_path / "c")) == 4


def test_a_section_of_the_map_is_replaced_and_the_others_keep_their_text(tmp_path):
    path = tmp_path / "map.yml"
    write_section(path, "images", "# of images\nimages:\n  Yes: no  # mine\n\n  x: 01\n")
    images = path.read_text()
    write_section(path, "table", "table:\n  a: 1\n")
    write_section(path, "table", "# about the table\ntable:\n  b: 2\n")
    assert path.read_text().startswith(images)
    assert read_section(path, "images") == {"Yes": "no", "x": "01"}
    assert read_section(path, "table") == {"b": "2"}
    assert (
        replace_section("table:\n  a: 1\nimages:\n  b: 2\n", "table", "table: {}")
        == "table: {}\n\nimages:\n  b: 2\n"
    )
    path.write_text("table: [")
    with pytest.raises(ValueError, match="is not valid YAML"):
        read_section(path, "table")


@pytest.mark.parametrize(
    ("cells", "order", "first"),
    [
        ("2/20/2010 1/2/2010", "month-first", "2010-02-20"),
        ("20.2.2010 1.2.2010", "day-first", "2010-02-20"),
        ("1.2.2010", "day-first", "2010-02-01"),
        ("1/2/2010", "?", None),
        ("20/1/2010 1/20/2010", "?", None),
        ("2010-02-20T10:00:00", "", "2010-02-20"),
        ("20100220", "", "2010-02-20"),
        ("2010年2月20日", "", "2010-02-20"),
        ("2010年2月", "", "2010-02-15"),
        ("40229", "", "2010-02-20"),
        ("20-Feb-10", "", "2010-02-20"),
        ("20-Feb-1962", "", "1962-02-20"),
        ("30.2.2010", "day-first", None),
    ],
)
def test_dates_are_read_in_the_form_of_their_column(cells, order, first):
    read = read_dates(pd.Series(cells.split()), today=TODAY)
    assert read.order == order
    assert read.values[0] == pd.Timestamp(first) if first else pd.isna(read.values[0])


@pytest.mark.parametrize(
    ("cell", "decimal", "number"),
    [
        ("1,200", ".", 1200),
        ("1.200", ",", 1200),
        ("1.200,5", ",", 1200.5),
        ("45,5", ",", 45.5),
        ("45,5", ".", None),
        ("45 years", ".", 45),
        ("1.2e3", ".", 1200),
        ("1.2×10^3", ".", 1200),
        ("65-69", ".", 67),
        ("<500", ".", 500),
        ("90+", ".", 90),
        ("unknown", ".", None),
        ("12a,b", ".", 12),
    ],
)
def test_numbers_are_read_by_the_decimal_sign_of_their_table(cell, decimal, number):
    value = read_numbers(pd.Series([cell]), decimal).values[0]
    assert pd.isna(value) if number is None else value == number


def test_what_decimals_or_numbers_stand_before_is_never_taken_for_a_level():
    rene, stages = (dictionary()["columns"][name]["levels"] for name in ("rene", "n_stage"))
    assert [guess_level(word, rene, {}) for word in ("1.0", "0.5", "2.1", "1.", "1: 0")] == ["?"] * 5
    assert [guess_level(word, stages, {}) for word in ("N1.0", "1.0", "3. 0")] == ["?"] * 3
    assert [guess_level(word, stages, {}) for word in ("N: 1", "2) N1", "1=N0")] == ["N1", "N1", "N0"]
    for name in ("Sex (1.0=male, 2.0=female)", "Sex (1=male, 2=female)", "性别(1.0male 2.0=female)"):
        assert legend(name).get("0") is None
    assert legend("性别(1.0男2.0女)") == legend("性别(1男2女)") == {"1": "男", "2": "女"}


def test_ids_of_bids_and_ids_with_decimals_are_those_of_their_images():
    assert safe_ids(["sub-001", "sub-002"], {}) == {"sub-001": "001", "sub-002": "002"}
    assert safe_ids(["sub-001", "001"], {}) == {"sub-001": "P001", "001": "P002"}
    assert alike("sub-001") == alike("001") == alike("1.0") == "1"
    assert alike("10") == "10"


@pytest.mark.parametrize(
    ("column", "words"),
    [
        (
            "sex",
            {"M": "male", "weiblich": "female", "女": "female", "1": "?", "unknown": "", "0: Male": "male"},
        ),
        (
            "t_stage",
            {"cT2": "T2", "pT1a": "T1", "T3 (2)": "T3", "t4b": "T4", "2": "T2", "TX": "", "Tis": "?"},
        ),
        ("n_stage", {"N3a": "N3", "n2c": "N2", "0": "N0", "N1": "N1", "NX": ""}),
        (
            "who_type",
            {
                "NPC: Type 3 (WHO IIB)": "III",
                "NPC, Type 2 (WHO IIA)": "II",
                "WHO I": "I",
                "WHO II-III": "II-III",
                "Non-keratinizing carcinoma, undifferentiated": "III",
                "Non-keratinising, differentiated": "II",
                "Nonkeratinizing carcinoma": "II-III",
                "Keratinizing squamous cell carcinoma": "I",
                "非角化性未分化型癌": "III",
                "分化型非角化癌": "II",
                "角化性鳞癌": "I",
                "8082": "III",
                "Paraganglioma": "?",
            },
        ),
        (
            "chemotherapy",
            {
                "RT alone": "none",
                "Cisplatin weekly": "cisplatin_nedaplatin",
                "卡铂": "other",
                "ChemoRT": "unspecified",
                "unspecified": "unspecified",
            },
        ),
        (
            "cohort",
            {
                "Training set": "training",
                "External test": "validation",
                "Internal validation cohort": "validation",
                "Validierung": "validation",
                "tested": "?",
            },
        ),
        (
            "ebv_dna",
            {"negativ": "undetectable", "positiv": "detectable", "nicht nachweisbar": "undetectable"},
        ),
    ],
)
def test_words_of_hospitals_are_understood_or_asked_about(column, words):
    patterns = dictionary()["columns"][column]["levels"]
    assert {word: guess_level(word, patterns, {}) for word in words} == words


def test_names_of_columns_are_compared_without_units_and_words_that_say_little():
    assert read_name("Overall Survival (Months)")[1] == "months"
    assert "overallsurvival" in read_name("Overall Survival (Months)")[0]
    assert read_name("随访时间(月)")[1] == "months"
    assert "age" in read_name("Age at diagnosis")[0]
    assert read_name("OS_days") == (["osdays", "osdays", "os", "os"], "days")


PLAIN = "ID,Hospital,Age,Sex,LDH,Start,Last,Dead\n" + "".join(
    f"{100 + n},{'EW'[n % 2]},{40 + n},{'MF'[n % 2]},{200 + n},2010-01-0{n + 1},2015-03-0{n + 1},{n % 2}\n"
    for n in range(6)
)


@pytest.fixture
def mapped(tmp_path, monkeypatch):
    """Return what writes a map that can be followed, but for what is changed in it, and imports by it."""
    monkeypatch.chdir(tmp_path)
    Path("t.csv").write_text(PLAIN)
    table = {
        "name": "ours",
        "files": {"t.csv": {"id": "ID"}},
        "columns": {"center": {"from": "Hospital"}, "ldh": {"from": "LDH", "above": "203"}},
        "times": {
            "zero": "Start",
            "last": "Last",
            "death": {"event": "Dead", "levels": {"1": "1", "0": "0"}},
        },
    }

    def run(change=None):
        text = (
            yaml.safe_dump({"table": table}) if change is None else change(yaml.safe_dump({"table": table}))
        )
        Path("c").mkdir(exist_ok=True)
        Path("c/map.yml").write_text(text)
        return import_table(["t.csv"], Path("c").resolve(), today=TODAY)

    return run


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("above: '203'", "above: abc", "no number, nor the name of a column"),
        ("above: '203'", "above: [1, 2]", "no number, nor the name of a column"),
        ("above: '203'", "above: {E: abc, W: 1}", "no number, nor the name of a column"),
        ("name: ours", "name: {a: b}", "name is {'a': 'b'}; it must be one word"),
        ("name: ours", "licence: [x]", "licence is \\['x'\\]; it must be one word"),
        ("name: ours", "dates: {Start: YMD}", "must be one of day-first, month-first"),
        ("name: ours", "also: {patient_id: Hospital}", "a column of the cohort's own"),
        ("name: ours", "name: a\n  name: b", "is not valid YAML \\('name' stands twice\\)"),
        ("above: '203'", "above: {1: 2, 1.0: 3}", "is not valid YAML \\('1(.0)?' stands twice\\)"),
        ("name: ours", "name: &a [x, x]\n  source: [*a, *a]", "a reference \\(\\*\\) stands here"),
    ],
)
def test_a_map_that_cannot_be_meant_is_refused_and_nothing_is_written(mapped, old, new, said):
    with pytest.raises(ValueError, match=said):
        mapped(lambda text: text.replace(old, new))
    assert [path.name for path in Path("c").iterdir()] == ["map.yml"]
    assert not Path("c.key.csv").exists()


def test_a_limit_for_each_hospital_needs_hospitals(mapped):
    def change(text):
        text = text.replace("    center:\n      from: Hospital\n", "")
        return text.replace("above: '203'", "above: {E: 1, W: 1}")

    with pytest.raises(ValueError, match="needs a column center"):
        mapped(change)


def test_the_one_value_of_a_column_is_one_of_its_words(mapped):
    status, lines = mapped(
        lambda text: text.replace("  columns:\n", "  columns:\n    cohort: {value: train}\n")
    )
    assert status == 3
    assert "Write one of training, validation" in lines[0]


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("participants.tsv", lambda text: text.replace("patient_id", "ID"), "one row for each patient_id"),
        ("participants.tsv", lambda text: text + text.splitlines()[1] + "\n", "one row for each patient_id"),
        ("participants.tsv", lambda text: f"{text}{'x	' * 40}\n", "row 8 has 41 cells"),
        ("dataset_description.json", lambda text: "{", "not valid JSON"),
    ],
)
def test_what_an_earlier_import_wrote_and_somebody_damaged_is_named_before_the_key_is_written(
    mapped, name, change, said
):
    assert mapped()[0] == 0
    path, key = Path("c") / name, Path("c.key.csv")
    path.write_text(change(path.read_text()))
    key.write_text(key.read_text() + "P9,gone\n")
    with pytest.raises(ValueError, match=said):
        mapped()
    assert "P9,gone" in key.read_text()


@pytest.mark.parametrize(
    ("word", "level"),
    [
        ("locoregional", "0"),
        ("neck node failure only", "0"),
        ("Liver mets and nodal", "?"),
        ("bone, neck node", "?"),
        ("regional + lung", "?"),
    ],
)
def test_a_failure_is_no_metastasis_only_where_all_of_it_is_near(word, level):
    assert guess_level(word, dictionary()["times"]["metastasis"]["levels"], {}) == level


def test_the_date_of_any_failure_is_none_of_a_metastasis(hospital):
    table = b"""\
Chart #,Start of treatment,Distant metastasis,Date of first failure,Last known alive
a,2010-01-05,no,,2014-01-05
b,2010-01-05,yes,2011-01-05,2012-01-05
"""
    with pytest.raises(ValueError, match="metastasis: 'when' must name the column"):
        hospital({"x.csv": table})


def test_patients_and_dates_are_no_names_of_columns():
    patient = [["Comment", "Age", "Sex", ""], ["", "45", "M", "x"]]
    assert _names(patient, 0) == (patient[0], 1)
    dated = [["2020-01-01", "Report", "", ""], ["id", "Age", "Sex", "X"]]
    assert _names(dated, 1) == (dated[1], 2)
