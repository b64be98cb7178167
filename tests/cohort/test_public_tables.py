"""Tables in the forms of public sources, with invented rows, are imported with few edited lines."""

import difflib
import io
import shutil

import pandas as pd
import pytest

from npcbook.cohort.importing.record import import_table

TODAY = pd.Timestamp(2024, 6, 30)
#: More than these lines of the map nobody has to edit.
MOST_LINES = 20


@pytest.fixture
def take(tmp_path):
    """Import a file by the first run's guess and some edits; return participants, what is said, folder."""

    def run(name, content, edits=()):
        path, out = tmp_path / name, tmp_path / "cohort"
        shutil.rmtree(out, ignore_errors=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        assert import_table([path], out, today=TODAY)[0] == 0
        before = text = (out / "map.yml").read_text("utf-8")
        for old, new in edits:
            assert text.count(old) == 1, (old, text)
            text = text.replace(old, new)
        changed = [line for line in difflib.ndiff(before.splitlines(), text.splitlines()) if line[0] == "+"]
        assert len(changed) <= MOST_LINES
        (out / "map.yml").write_text(text, "utf-8")
        status, lines = import_table([path], out, today=TODAY)
        if status:
            return None, lines, out
        table = pd.read_csv(out / "participants.tsv", sep="\t", dtype=str, keep_default_na=False)
        return table.drop(columns=["center", "cohort", "exclusion"]), lines, out

    return run


def cells(table, *columns):
    """Return the columns of a table as rows of text."""
    return [" ".join(value or "-" for value in row) for row in table[[*columns]].to_numpy()]


CBIOPORTAL = """\
#Patient Identifier\tSex\tDiagnosis Age\tT\tN\tSite\tOverall Survival Status\tOS (Months)\tDisease Free
#Identifier to uniquely specify a patient.\tSex\tAge\tT\tN\tSite\tStatus\tMonths\tStatus
#STRING\tSTRING\tNUMBER\tSTRING\tSTRING\tSTRING\tSTRING\tNUMBER\tSTRING
#1\t1\t1\t1\t1\t1\t1\t1\t1
PATIENT_ID\tSEX\tAGE\tPATH_T_STAGE\tPATH_N_STAGE\tPRIMARY_SITE_PATIENT\tOS_STATUS\tOS_MONTHS\tDFS_STATUS
XX-01-0001\tMale\t61\tT4A\tN2B\tNasopharynx\t1:DECEASED\t17.25\t1:Recurred/Progressed
XX-01-0002\tFemale\t48\tTX\tN0\tNasopharynx\t0:LIVING\t60.5\t0:DiseaseFree
XX-01-0003\tMale\t70\tT2\tNX\tNasopharynx\t0:LIVING\t33\t
"""


def test_cbioportal_needs_no_edit(take):
    table, _, _ = take("data_clinical_patient.txt", CBIOPORTAL)
    columns = ["patient_id", "age", "sex", "t_stage", "n_stage", "os_months", "os_event"]
    assert cells(table, *columns) == [
        "XX010001 61 male T4 N2 17.25 1",
        "XX010002 48 female - N0 60.5 0",
        "XX010003 70 male T2 - 33 0",
    ]


GDC = """\
case_id\tcase_submitter_id\tage_at_diagnosis\tdays_to_birth\tdays_to_death\tgender\tvital_status\tajcc_clinical_n\t\
ajcc_clinical_t\tajcc_pathologic_t\tdays_to_last_follow_up\tprimary_diagnosis\ttreatment_type
00-a1\tXX-CV-1\t21915\t-21915\t731\tmale\tDead\tN2b\tT4a\t'--\t'--\tSquamous cell carcinoma, NOS\tRadiation
00-a1\tXX-CV-1\t21915\t-21915\t731\tmale\tDead\tN2b\tT4a\t'--\t'--\tSquamous cell carcinoma, NOS\tDrugs
00-a2\tXX-CV-2\t18263\t-18263\t'--\tfemale\tAlive\tNX\tT2\t'--\t1461\tSquamous cell carcinoma, NOS\tRadiation
00-a3\tXX-CV-3\t'--\t'--\t'--\tnot reported\tAlive\t'--\tTX\t'--\t1096\tnot reported\tRadiation
00-a4\tXX-CV-4\t25568\t-25568\t'--\tmale\tAlive\tN0\tT1\t'--\t0\tBasaloid squamous cell carcinoma\tRadiation
"""


@pytest.mark.parametrize("old", [False, True])
def test_the_gdcs_clinical_tsv_has_ages_in_days_and_a_row_a_treatment(take, old):
    content = GDC
    if old:
        # Other releases put the group before a column, and write what is unknown without the quote.
        names, _, rows = GDC.replace("'--", "--").partition("\n")
        groups = ["cases", "cases", "diagnoses", "demographic", "demographic", "demographic", "demographic"]
        names = names.split("\t")
        groups += ["diagnoses"] * (len(names) - len(groups))
        content = "\t".join(f"{g}.{name}" for g, name in zip(groups, names, strict=True)) + f"\n{rows}"
    edits = [('repeated: "?"', "repeated: first"), ('impossible: "?"', "impossible: missing")]
    edits += [('Basaloid squamous cell carcinoma: "?"', "Basaloid squamous cell carcinoma:")]
    table, lines, _ = take("clinical.tsv", content, edits)
    assert cells(table, "age", "sex", "t_stage", "n_stage", "os_months", "os_event") == [
        "60 male T4 N2 24.016 1",
        "50.001 female T2 - 48 0",
        "- - - - 36.008 0",
        "70.001 male T1 N0 - -",
    ]
    assert "impossible: no follow-up after time zero: 1 (00a4)" in lines


def test_tcgas_biotab_has_three_lines_of_names(take):
    names = "bcr_patient_uuid bcr_patient_barcode gender vital_status last_contact_days_to death_days_to"
    names = [*names.split(), "ajcc_tumor_pathologic_pt"]
    rows = [names, names, [f"CDE_ID:{number}" for number in range(len(names))]]
    rows += [["A-1", "XX-1", "MALE", "Dead", "[Not Available]", "731", "[Discrepancy]"]]
    rows += [["A-2", "XX-2", "FEMALE", "Alive", "1461", "[Not Applicable]", "T4a"]]
    table, _, _ = take("clinical_patient.txt", "\n".join(map("\t".join, rows)))
    assert cells(table, "patient_id", "sex", "t_stage", "os_months", "os_event") == [
        "XX1 male - 24.016 1",
        "XX2 female T4 48 0",
    ]


SEER = """\
"Patient ID","Age recode with single ages and 90+","Sex","Primary Site - labeled","Histologic Type ICD-O-3",\
"Derived AJCC T, 7th ed (2010-2015)","Derived AJCC N, 7th ed (2010-2015)",\
"Derived AJCC M, 7th ed (2010-2015)","Chemotherapy recode (yes, no/unk)","Survival months",\
"Survival months flag","Vital status recode (study cutoff used)"
"10000001","52 years","Male","C11.1-Posterior wall","8072","T1","N3NOS","M0","Yes","0061","Yes","Alive"
"10000002","90+ years","Female","C11.9-Nasopharynx","8082","TX","N1","M0","No/Unknown","0007","Yes","Dead"
"10000003","44 years","Male","C11.9-Nasopharynx","8010","Blank(s)","NX","M0","Yes","Unknown","No","Dead"
"10000004","47 years","Male","C11.9-Nasopharynx","8071","T2","N1","M0","Yes","0000","Yes","Alive"
"10000005","47 years","Male","C11.9-Nasopharynx","8071","T2","N1","M1","Yes","0012","Yes","Alive"
"10000006","47 years","Male","C10.9-Oropharynx, NOS","8071","T2","N1","M0","Yes","0012","Yes","Alive"
"""


def test_seers_case_listing_lists_survival_that_is_unknown_or_nought(take):
    table, lines, out = take("export.csv", SEER, [('impossible: "?"', "impossible: exclude")])
    said = (out / "import.md").read_text("utf-8")
    assert cells(table[:2], "age", "sex", "who_type", "t_stage", "n_stage", "os_months", "os_event") == [
        "52 male II-III T1 N3 61 0",
        "90 female III - N1 7 1",
    ]
    assert "90 with" not in said
    assert "1 with a + taken as the number before it" in said
    assert any("no follow-up after time zero" in line and "10000004" in line for line in lines)
    assert any("without its time" in line and "10000003" in line for line in lines)
    for reason in ("primary tumour outside the nasopharynx", "distant metastasis at diagnosis"):
        assert f"1 left out: {reason}" in said


def workbook(**sheets):
    """Return a workbook whose column names stand on row 2, as bytes."""
    file = io.BytesIO()
    with pd.ExcelWriter(file) as book:
        for name, table in sheets.items():
            table.to_excel(book, sheet_name=name, index=False, startrow=1)
            book.sheets[name].cell(1, 1).value = "Clinical data, exported 2019-05-01"
    return file.getvalue()


def test_the_imaging_archives_workbook_of_two_sheets(take):
    ids = {"TCIA PatientID": ["HN-01-0001", "HN-01-0002", "HN-01-0003"]}
    clinical = {"Sex": ["M", "F", "M"], "T-category": ["x", "2a", "3"], "N-category": ["0", "2b", "1"]}
    clinical |= {"Chemotherapy": ["Yes", "No", "Unknown"], "Date of RT start": ["2010-03-01"] * 3}
    outcome = {"Vital status": ["Dead", "Alive", "Alive"]}
    outcome |= {"Date of last contact or death": ["2012-03-01", "2014-03-01", "2013-03-01"]}
    outcome |= {"Distant metastasis (Yes/No/Unknown)": ["Yes", "No", "Unknown"]}
    outcome |= {"Date of distant metastasis": ["2011-03-01", None, None]}
    sheets = workbook(Clinical=pd.DataFrame(ids | clinical), Outcome=pd.DataFrame(ids | outcome))
    table, _, _ = take("clinical.xlsx", sheets)
    columns = ["t_stage", "n_stage", "chemotherapy", "dmfs_months", "dm_event", "os_months", "os_event"]
    assert cells(table, *columns) == [
        "- N0 unspecified 11.992 1 24.016 1",
        "T2 N2 none 48 0 48 0",
        "T3 N1 - - - 36.008 0",
    ]


HN1 = """\
id,index_tumour_location,age_at_diagnosis,biological_sex,clin_t,clin_n,clin_m,chemotherapy_given,\
event_overall_survival,overall_survival_in_days,event_distant_metastases,distant_metastases_in_days
HN1001,nasopharynx,50,male,4,2,0,concomitant,1,731,1,365
HN1002,nasopharynx,60,female,1,0,0,none,0,1461,0,1461
"""
HN_PET_CT = """\
Patient #,Sex,Age,Primary Site,T-stage,N-stage,M-stage,\
Time - diagnosis to last follow-up(days),Therapy,Distant,\
Time – diagnosis to DM (days),Death,Time – diagnosis to Death (days)
HGJ-001,M,50,Nasopharynx,T4,N2,M0,731,chemo radiation,1,365,1,731
HGJ-002,F,60,Nasopharynx,T1,N0,Mx,1461,radiation,0,,0,
"""


@pytest.mark.parametrize("content", [HN1, HN_PET_CT])
def test_head_and_neck_collections_with_lengths_in_days_need_no_edit(take, content):
    table, _, _ = take("clinical.csv", content)
    columns = [
        "sex",
        "t_stage",
        "n_stage",
        "chemotherapy",
        "dmfs_months",
        "dm_event",
        "os_months",
        "os_event",
    ]
    assert cells(table, *columns) == [
        "male T4 N2 unspecified 11.992 1 24.016 1",
        "female T1 N0 none 48 0 48 0",
    ]


HNSCC = """\
TCIA ID,Sex,Age,Cancer subsite of origin,T-category,Vital status,\
Overall survival_duration of Merged updated ASRM V2,Freedom from distant metastasis,\
Freedom from distant metastasis_duration of Merged updated ASRM V2,Overall Survival Censor
HNSCC-01-0001,M,50,NPC,1,Dead,2.5,0,1.5,0
HNSCC-01-0002,F,60,BOT,2,Alive,4,1,4,1
HNSCC-01-0003,F,61,NPC,2,Alive,4,1,4,1
"""


def test_freedom_from_metastasis_is_asked_for_and_so_is_a_unit_that_nothing_tells(take):
    table, _, _ = take(
        "hnscc.csv",
        HNSCC.replace("ASRM V2", "ASRM V2 (years)"),
        [("        '1': \"?\"", "        '1': 0"), ("        '0': \"?\"", "        '0': 1")],
    )
    assert cells(table, "patient_id", "dmfs_months", "dm_event", "os_months", "os_event") == [
        "HNSCC010001 18 1 30 1",
        "HNSCC010002 - - - -",
        "HNSCC010003 48 0 48 0",
    ]


def test_an_unknown_unit_is_a_question(take):
    with pytest.raises(ValueError, match=r"times, death: unit is '\?'"):
        take("hnscc.csv", HNSCC)


LUNG = """\
"","inst","time","status","age","sex","ph.ecog"
"1",3,731,2,74,1,1
"2",3,1461,1,68,2,0
"""


@pytest.mark.parametrize("rows", [True, False])
def test_rows_without_ids_are_numbered_and_codes_1_and_2_are_asked(take, rows):
    content = LUNG if rows else "\n".join(line.partition(",")[2] for line in LUNG.splitlines())
    _, lines, out = take("lung.csv", content)
    assert f"id: {'column 1' if rows else '(row)'}" in (out / "map.yml").read_text("utf-8")
    assert sum("what does" in line for line in lines) == 4
    before, _, after = (out / "map.yml").read_text("utf-8").partition("  times:  #")
    for code, sex, event in (("1", "male", 0), ("2", "female", 1)):
        before = before.replace(f"'{code}': \"?\"", f"'{code}': {sex}")
        after = after.replace(f"'{code}': \"?\"", f"'{code}': {event}")
    text = f"{before}  times:  #{after}"
    (out / "map.yml").write_text(text, "utf-8")
    assert import_table([out.parent / "lung.csv"], out, today=TODAY)[0] == 0
    table = pd.read_csv(out / "participants.tsv", sep="\t", dtype=str)
    assert cells(table, "patient_id", "age", "sex", "os_months", "os_event") == [
        "1 74 male 24.016 1",
        "2 68 female 48 0",
    ]


def test_what_has_no_length_of_follow_up_is_refused_in_a_sentence(take):
    with pytest.raises(ValueError, match="times, death: 'when' must name the column"):
        take("haberman.csv", "age,year,nodes,status\n30,64,1,1\n31,65,2,2\n")
    with pytest.raises(ValueError, match="times: neither metastasis nor death"):
        take("outcome.csv", "PatientID,Age,Relapse,RFS\nC1,50,0,400\nC2,60,1,900\n")


def test_a_length_without_a_word_on_what_happened_is_a_question(take):
    with pytest.raises(ValueError, match="times, death: 'event' must name the column"):
        take("x.csv", "id,Overall survival (months)\na,10\nb,20.5\n")


def test_a_chinese_workbook_of_dates_in_two_forms(take):
    table = pd.DataFrame(
        {
            "住院号": ["00123", "00124", "00125"],
            "姓名": "张三",
            "性别(1男2女)": [1, 2, 1],
            "年龄": ["45岁", "52岁", "60岁"],
            "T分期": ["T2", "Tx", "T1"],
            "N分期": ["N1", "N3a", "N0"],
            "化疗方案": ["TPF", "单纯放疗", "顺铂三周"],
            "放疗开始日期": ["2010.3.1", "2010年4月", "2010年5月1日"],
            "末次随访日期": ["2013.3.1", "2016.4.15", "2015/5/1"],
            "随访状态": ["死亡", "失访", "无瘤生存"],
            "远处转移": ["是", "否", "否"],
            "远处转移日期": ["2012年3月1日", None, None],
        }
    )
    table, _, out = take("随访.xlsx", workbook(Sheet1=table))
    columns = ["patient_id", "age", "sex", "t_stage", "n_stage", "chemotherapy", "dmfs_months", "dm_event"]
    assert cells(table, *columns, "os_months", "os_event") == [
        "00123 45 male T2 N1 cisplatin_nedaplatin 24.016 1 36.008 1",
        "00124 52 female - N3 none 72.016 0 72.016 0",
        "00125 60 male T1 N0 cisplatin_nedaplatin 59.992 0 59.992 0",
    ]
    assert "1 dates without a day, taken as the 15th" in (out / "import.md").read_text("utf-8")


def test_codes_of_being_alive_are_asked_in_any_language(take):
    for name in ("生存状态", "Alive", "Survived", "Overall Survival Censor"):
        content = f"id,{name},OS months\na,1,10\nb,0,60\n"
        _, lines, _ = take("x.csv", content)
        assert sum("what does" in line and "(1 it happened, 0 it did not)" in line for line in lines) == 2, (
            name
        )


GERMAN = """\
Patienten-ID;Geschlecht;Geburtsdatum;cT;cN;Histologie;Chemotherapie;\
Kumulative Cisplatindosis (mg/m²);Beginn RT;Ende RT;Fernmetastasen;Datum Fernmetastasen;\
Letzter Kontakt;Vitalstatus;Todesdatum
K1;m;05.01.1960;4;2;Undifferenziertes Karzinom;Cisplatin;200,5;05.01.2010;20.02.2010;ja;\
05.01.2011;05.01.2012;verstorben;05.01.2012
K2;w;05.01.1970;X;0;Plattenepithelkarzinom;keine;;05.01.2010;20.02.2010;nein;;05.01.2014;lebt;
"""
FRENCH = """\
Identifiant;Sexe;Âge;Stade T;Stade N;Chimiothérapie;Début RT;Dernières nouvelles;Décès;Date de décès
F1;H;50,5;T2;N1;oui;25/01/2010;25/01/2012;oui;25/01/2012
F2;F;60;T1;N0;non;15/02/2010;15/02/2014;non;
"""


def test_german_and_french_exports_need_no_edit(take):
    table, _, _ = take("klinik.csv", GERMAN.encode("cp1252"))
    columns = ["age", "sex", "who_type", "t_stage", "chemotherapy", "ccnd_mg_m2", "dmfs_months", "os_months"]
    assert cells(table, *columns, "os_event", "rt_end_months") == [
        "50.001 male III T4 cisplatin_nedaplatin 200.5 11.992 23.984 1 1.511",
        "40 female - - none - 48 48 0 1.511",
    ]
    table, _, _ = take("clinique.csv", FRENCH.encode("utf-8-sig"))
    assert cells(table, "age", "sex", "t_stage", "chemotherapy", "os_months", "os_event") == [
        "50.5 male T2 unspecified 23.984 1",
        "60 female T1 none 48 0",
    ]


AMBIGUOUS = """\
MRN,Sex,Age,Start date,Last FU,Status
0001,F,045Y,01/02/12,03/04/18,NED
0002,M,>80,02/03/12,05/06/18,DOD
0003,M,90+,02/03/12,05/06/18,AWD
0004,M,061Y,02/03/12,05/06/18,Lost to follow-up
"""


def test_dates_that_may_be_either_are_asked_before_anything_is_called_impossible(take):
    table, lines, out = take("x.csv", AMBIGUOUS)
    assert table is None
    assert sum("day-first or month-first?" in line for line in lines) == 2
    assert not any("impossible" in line for line in lines)
    answer = "  dates: {Start date: day-first, Last FU: day-first}\n  impossible:"
    table, _, out = take("x.csv", AMBIGUOUS, [("  impossible:", answer)])
    assert cells(table, "age", "os_months", "os_event") == [
        "45 74.021 0",
        "- 75.105 1",
        "90 75.105 0",
        "61 75.105 0",
    ]
    said = (out / "import.md").read_text("utf-8")
    assert "Age: 1 with < or > before them, not known as age" in said
    assert "Age: 1 with a + taken as the number before it" in said


def test_excels_numbers_years_of_two_digits_and_stages_beyond_any_level(take):
    content = "Patient ID,Gender,DOB,Date of diagnosis,Date of last follow-up,Dead,T,DMFS (years),DM\n"
    content += "A1,M,20094,40183,1/20/14,N,T0,2.5,1\nA2,F,23747,40183,1/5/14,Y,Tis,4.0,0\n"
    _, lines, _ = take("x.csv", content)
    assert sum("what does 'T" in line for line in lines) == 2
    table, _, _ = take("x.csv", content, [('T0: "?"', "T0:"), ('Tis: "?"', "Tis:")])
    assert cells(table, "age", "t_stage", "dmfs_months", "dm_event", "os_months", "os_event") == [
        "55.001 - 30 1 48.493 0",
        "44.999 - 48 0 48 1",
    ]


def test_r_writes_points_into_names(take):
    content = "Patient.ID,Overall.Survival..Months.,Vital.Status,Diagnosis.Age\np1,10.5,Died of Disease,50\n"
    table, _, _ = take("x.csv", content + "p2,60,Living,60\n")
    assert cells(table, "age", "os_months", "os_event") == ["50 10.5 1", "60 60 0"]
