"""Tables as hospitals have them become exactly the participants that were meant, or say why they cannot."""

import json
import re
import stat

import pandas as pd
import pytest
import yaml

from npcbook.__main__ import main
from npcbook.cohort.checking import check_cohort
from npcbook.cohort.importing.dates import read_dates
from npcbook.cohort.importing.guess import read_name
from npcbook.cohort.importing.keys import key_path, read_key
from npcbook.cohort.importing.mapping import read_section, replace_section, write_section
from npcbook.cohort.importing.record import import_table
from npcbook.cohort.importing.values import dictionary, guess_level, read_numbers

TODAY = pd.Timestamp(2024, 6, 30)


@pytest.fixture
def hospital(tmp_path):
    """Write files, import them with the guess of the first run and some edits, and return what comes of it."""

    def run(files, edits=(), *, options=()):
        paths = []
        for name, content in files.items():
            path = tmp_path / name
            if isinstance(content, bytes):
                path.write_bytes(content)
            else:
                with pd.ExcelWriter(path) as book:
                    for sheet, table in content.items():
                        table.to_excel(book, sheet_name=sheet, index=False)
            paths.append(path)
        out = tmp_path / "cohort"
        if not (out / "map.yml").exists():
            assert import_table(paths, out, today=TODAY)[0] == 0
        text = (out / "map.yml").read_text("utf-8")
        for old, new in edits:
            assert text.count(old) == 1, (old, text)
            text = text.replace(old, new)
        (out / "map.yml").write_text(text, "utf-8")
        return out, *import_table(paths, out, today=TODAY, **dict(options))

    return run


def participants(out):
    return (out / "participants.tsv").read_text("utf-8").replace("\t", "|").splitlines()


ENGLISH = b"""\
Patient ID,Age at diagnosis,Sex,Primary site,T stage,N stage,M stage,Histology,Chemo,RT Start,Distant,Date Distant,\
Vital status,Date of Death,Last FU,LDH (U/L),EBV DNA,Notes
A-1,62.6,M,Nasopharynx,cT2a,n1,M0,WHO III,Cisplatin x3,2/20/2010,Yes,2/20/2011,Dead,2/20/2012,2/20/2012,"1,200",<500,
A-2,45,F,nasopharynx,T3 (2),N3a,M0,WHO II,none,3/1/2010,,,Alive,,3/1/2015,180,"12,000",x
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
PatNr;Geschlecht;Alter;T-Stadium;N-Stadium;Chemotherapie;Beginn RT;Fernmetastase;Datum Fernmetastase;Letzte Kontrolle;Verstorben;Todesdatum
0017;weiblich;45,5;T1;N1;Nein;1.2.2015;nein;;15.2.2020;nein;
0018;männlich;61,25;pT2;N0;Cisplatin;3.2.2015;ja;1.6.2016;3.3.2017;ja;4.3.2017
"""


def test_a_german_table_with_semicolons_decimal_commas_and_days_first(hospital):
    out, status, _ = hospital({"klinik.csv": GERMAN.encode("cp1252")})
    assert status == 0
    assert participants(out) == [
        "patient_id|center|cohort|age|sex|t_stage|n_stage|chemotherapy|dmfs_months|dm_event|os_months|os_event|exclusion",
        "0017|1|training|45.5|female|T1|N1|none|60.452|0|60.452|0|",
        "0018|1|training|61.25|male|T2|N0|cisplatin_nedaplatin|15.901|1|24.969|1|",
    ]
    assert "day-first" in (out / "import.md").read_text("utf-8")


CHINESE = """\
住院号,姓名,性别,年龄（岁）,病理类型,T分期,N分期,化疗方案,顺铂累积剂量,血浆EBV DNA,放疗开始日期,远处转移(0=无 1=有),远处转移日期,末次随访日期,死亡,死亡日期,是否排除
ZY2010-001,张三,男,４５,未分化型非角化癌,T2,N1,顺铂,200,阳性,2010年3月1日,1,2012年3月1日,2013年3月1日,是,2013年3月1日,否
ZY2010-002,李四,女,52,分化型非角化癌,T1,N1,单纯放疗,0,阴性,2010年4月15日,0,,2016年4月15日,否,,否
ZY2010-003,王五,男,60,角化性鳞癌,T2,N0,奈达铂,240,不详,2010年5月1日,0,,2015年5月1日,否,,失访
"""


def test_a_chinese_table_in_gb18030(hospital):
    out, status, lines = hospital({"病历.csv": CHINESE.encode("gb18030")})
    assert status == 0, lines
    assert participants(out) == [
        "patient_id|center|cohort|age|sex|who_type|t_stage|n_stage|ebv_dna|chemotherapy|ccnd_mg_m2|dmfs_months|dm_event"
        "|os_months|os_event|exclusion",
        "ZY2010001|1|training|45|male|III|T2|N1|detectable|cisplatin_nedaplatin|200|24.016|1|36.008|1|",
        "ZY2010002|1|training|52|female|II|T1|N1|undetectable|none|0|72.016|0|72.016|0|",
        "ZY2010003|1|training|||||||||||||失访",
    ]
    assert "张三" not in "".join(path.read_text("utf-8") for path in out.iterdir())


UNICODE = """\
Case\tHospital\tGroup\tGender (1=male, 2=female)\tDOB\tcT\tcN\tENE\tTreatment start\tDMFS status\tDMFS (days)\tOS status\tOS (days)\tRT end date
7\tWest\ttrain\t1\t5-Jan-1960\t1\t1\tGrade 1\t5-Jan-2010\tno\t1461\talive\t1461\t20-Feb-10
8\tEast\ttest\t2\t5-Jan-1970\t2\t0\tno\t5-Jan-2010\tyes\t365\tdead\t731\t2010-02-20
"""


def test_a_unicode_export_with_lengths_in_days_and_birthdays(hospital):
    out, status, lines = hospital({"export.txt": UNICODE.encode("utf-16")})
    assert status == 0, lines
    assert participants(out) == [
        "patient_id|center|cohort|age|sex|t_stage|n_stage|rene|dmfs_months|dm_event|os_months|os_event|rt_end_months|exclusion",
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
        "patient_id|center|cohort|age|sex|t_stage|n_stage|ldh|dmfs_months|dm_event|os_months|os_event|exclusion",
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
