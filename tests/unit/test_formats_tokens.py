"""Files of tokens: which column is what is proved by what is in it, and every form of tags gives its mentions."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.gold_files import found_in, read_file, texts_of
from uniner_dist.errors import ConfigError
from uniner_dist.formats.tagging import read_tags


def only(folder: Path, name: str, content: str) -> dict[str, list[str]]:
    documents, _ = read_file(folder, name, content)
    [document] = documents
    return texts_of(document)


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ("B-x I-x O B-x", [("x", 0, 2), ("x", 3, 4)]),
        ("I-x I-x B-x O", [("x", 0, 2), ("x", 2, 3)]),
        ("B-x M-x E-x S-x", [("x", 0, 3), ("x", 3, 4)]),
        ("B-x I-x L-x U-x", [("x", 0, 3), ("x", 3, 4)]),
        ("B-ORG I-ORG I-ORG|U-GPE U-ORG", [("ORG", 0, 3), ("GPE", 2, 3), ("ORG", 3, 4)]),
        ("B-GPE|U-LOC I-GPE", [("LOC", 0, 1), ("GPE", 0, 2)]),
        ("B-x|B-x I-x|L-x L-x", [("x", 0, 2), ("x", 0, 3)]),
        ("B-A,B-B I-B O", [("A", 0, 1), ("B", 0, 2)]),
        ("I-x I-y L-y O", [("x", 0, 1), ("y", 1, 3)]),
    ],
)
def test_tags_of_every_scheme_and_of_several_labels(tags: str, expected: list[tuple[str, int, int]]) -> None:
    assert read_tags(tags.split()) == expected


def test_types_without_prefix_join_their_neighbours() -> None:
    assert read_tags(["PER", "PER", "O", "LOC", "PER"], bare=True) == [("PER", 0, 2), ("LOC", 3, 4), ("PER", 4, 5)]


def test_a_separator_in_a_type_is_named_unless_the_file_knows_the_type() -> None:
    with pytest.raises(ValueError, match=r"'B-ORG\|GPE' has several types and one prefix"):
        read_tags(["B-ORG|GPE"])
    assert read_tags(["B-ORG|GPE"], types=["ORG|GPE"]) == [("ORG|GPE", 0, 1)]


@pytest.mark.parametrize(
    ("name", "content", "layout"),
    [
        (
            "conll2003.txt",
            "Ada NNP B-NP B-PER\nsaw VBD B-VP O\nRome NNP B-NP B-LOC\n",
            "tokens in column 1, tags in column 4 of 4",
        ),
        (
            "deu.train",
            "Ada Ada NE I-NC I-PER\nsah sehen VVFIN I-VC O\nRome Rom NE B-NC I-LOC\n".replace("sah", "saw"),
            "tokens in column 1, tags in column 5 of 5",
        ),
        ("mit.bio", "B-PER\tAda\nO\tsaw\nB-LOC\tRome\n", "tokens in column 2, tags in column 1 of 2"),
        (
            "numbered.tsv",
            "1\tAda\tB-PER\t-\tx\n2\tsaw\tO\t-\tx\n3\tRome\tB-LOC\t-\tx\n",
            "tokens in column 2, tags in column 3 of 5",
        ),
        ("bmes.bmes", "Ada S-PER\nsaw O\nRome S-LOC\n", "tokens in column 1, tags in column 2 of 2"),
        ("bare.txt", "Ada PER\nsaw O\nRome LOC\nand O\n", "types without prefix in column 2 of 2"),
        ("eng.testa", "Ada B-PER\nsaw O\nRome B-LOC\n", "tokens in column 1, tags in column 2 of 2"),
        (
            "doc.txt",
            "d1 1 Ada NN B-PER\nd1 2 saw VB O\nd1 3 Rome NN B-LOC\n",
            "tokens in column 3, tags in column 5 of 5",
        ),
    ],
)
def test_columns_are_found_by_what_is_in_them(tmp_path: Path, name: str, content: str, layout: str) -> None:
    documents, said = read_file(tmp_path, name, content)
    assert texts_of(documents[0]) == {"PER": ["Ada"], "LOC": ["Rome"]}
    assert documents[0].text.startswith("Ada saw Rome")
    assert layout in said[0]


def test_a_file_without_any_mention_is_not_one_of_chunks(tmp_path: Path) -> None:
    documents, _ = read_file(tmp_path, "a.conll", "It PRP B-NP O\nrains VBZ B-VP O\n")
    assert documents[0].answers == {}


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("Ada NNP B-PER B-PER\nsaw VBD O B-LOC\n", "the same mentions: gold and predictions"),
        ("Ada NNP\nsaw VBD\n", "no column holds tags"),
        ("Ada B-PER\nsaw O\nRome LOCATION\nor O\n", "line 3: expected a token and a tag"),
        (
            "Ada B-PER\nsaw it O\nRome B-LOC\n",
            "line 2: expected a token and a tag such as O, B-person or I-person in 2",
        ),
        ("Ada B-PER|LOC\nsaw O\n", "several types and one prefix"),
        ("Ada B_PER\nByron I_PER\nsaw O\n", "column 2 holds 'B_PER', which is not a type"),
        ("Ada PER-B\nByron PER-I\nsaw O\n", "column 2 holds 'PER-B', which is not a type"),
        ("flu B\nvirus I\nsaw O\n", "column 2 holds 'B', which is not a type; write tags such as B-person"),
    ],
)
def test_columns_that_prove_nothing_are_refused(tmp_path: Path, content: str, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        read_file(tmp_path, "a.conll", content)


def test_germeval_has_two_levels_of_mentions(tmp_path: Path) -> None:
    content = (
        "#\thttp://de.wikipedia.org/wiki/X [2010-02-18]\n1\tDie\tO\tO\n2\tUniversität\tB-ORG\tO\n"
        "3\tOslo\tI-ORG\tB-LOC\n"
        "4\tsüdkoreanisch\tB-LOCderiv\tO\n\n#\thttp://de.wikipedia.org/wiki/Y [2010-02-19]\n1\tAda\tB-PER\tO\n"
    )
    documents, said = read_file(tmp_path, "NER-de-test.tsv", content)
    assert texts_of(documents[0]) == {"ORG": ["Universität Oslo"], "LOC": ["Oslo"], "LOCderiv": ["südkoreanisch"]}
    assert texts_of(documents[1]) == {"PER": ["Ada"]}
    assert "tokens in column 2, tags in column 3 and 4 of 4" in said[0]


def test_hipe_names_its_columns_and_says_where_no_space_is(tmp_path: Path) -> None:
    levels = ("NE-COARSE-LIT", "NE-COARSE-METO", "NE-FINE-LIT", "NE-FINE-METO", "NE-FINE-COMP", "NE-NESTED")
    header = "\t".join(["TOKEN", *levels, "NEL-LIT", "NEL-METO", "MISC"])
    lines = [
        "Paris\tB-loc\tO\tB-loc.adm.town\tO\tO\tO\tQ90\t_\tNoSpaceAfter",
        ",\tO\tO\tO\tO\tO\tO\t_\t_\t_",
        "M.\tB-pers\tO\tB-pers.ind\tO\tB-comp.title\tO\tNIL\t_\t_",
        "X\tI-pers\tO\tI-pers.ind\tO\tO\tO\tNIL\t_\tNoSpaceAfter|EndOfLine",
    ]
    content = "\n".join([header, "# hipe2022:document_id = NZZ-1798", "# hipe2022:language = fr", *lines, ""])
    content += "\n# hipe2022:document_id = NZZ-1799\n" + "\t".join(["Rome", "B-loc", *"OOOOO", "_", "_", "_"]) + "\n"
    documents, said = read_file(tmp_path, "HIPE-2022-fr.tsv", content)
    assert [(document.doc_id, document.text) for document in documents] == [
        ("NZZ-1798", "Paris, M. X"),
        ("NZZ-1799", "Rome"),
    ]
    assert texts_of(documents[0]) == {"loc": ["Paris"], "pers": ["M. X"]}
    assert "tags in column 2 (NE-COARSE-LIT)" in said[0]


CONLLU = """# newdoc id = n1
# sent_id = 1
# text = Vámonos al Río, Ada.
1-2\tVámonos\t_\t_\t_\t_\t_\t_\t_\t_
1\tVamos\tir\tVERB\t_\t_\t0\troot\t_\t_
2\tnos\tnosotros\tPRON\t_\t_\t1\tobj\t_\t_
3-4\tal\t_\t_\t_\t_\t_\t_\t_\t_
3\ta\ta\tADP\t_\t_\t5\tcase\t_\tNE=O
4\tel\tel\tDET\t_\t_\t5\tdet\t_\tNE=B-LOC
5\tRío\trío\tPROPN\t_\t_\t1\tobl\t_\tSpaceAfter=No|NE=I-LOC
6\t,\t,\tPUNCT\t_\t_\t1\tpunct\t_\t_
6.1\tx\tx\tVERB\t_\t_\t_\t_\t_\t_
7\tAda\tAda\tPROPN\t_\t_\t1\tvocative\t_\tNE=B-PER|SpaceAfter=No
8\t.\t.\tPUNCT\t_\t_\t1\tpunct\t_\t_

# sent_id = 2
1\tRoma\tRoma\tPROPN\t_\t_\t0\troot\t_\tNE=B-LOC|SpaceAfter=No
2\t.\t.\tPUNCT\t_\t_\t1\tpunct\t_\t_

"""


@pytest.mark.parametrize("name", ["a.conllu", "a.conll"])
def test_conllu_words_of_a_multiword_token_are_its_surface(tmp_path: Path, name: str) -> None:
    documents, said = read_file(tmp_path, name, CONLLU)
    [document] = documents
    assert (document.doc_id, document.text) == ("n1", "Vámonos al Río, Ada.\nRoma.")
    assert found_in(document) == {"LOC": [(8, 14, "al Río"), (21, 25, "Roma")], "PER": [(16, 19, "Ada")]}
    assert "tags in MISC under NE" in said[0]


def test_conllu_words_that_are_letters_of_their_token_are_parts_of_it(tmp_path: Path) -> None:
    rows = ["1-2\tAnna's", "1\tAnna", "2\t's", "3-4\tcannot", "3\tcan", "4\tnot", "5-6\tzum", "5\tzu", "6\tdem"]
    tags = ["_", "B-PER", "O", "_", "O", "B-X", "_", "O", "B-Y"]
    misc = ["_" if tag == "_" else f"NER={tag}" for tag in tags]
    lines = ["\t".join([row, *"_" * 7, one]) for row, one in zip(rows, misc, strict=True)]
    documents, _ = read_file(tmp_path, "a.conllu", "# sent_id = 1\n" + "\n".join(lines) + "\n\n")
    assert documents[0].text == "Anna's cannot zum"
    assert found_in(documents[0]) == {"PER": [(0, 4, "Anna")], "X": [(10, 13, "not")], "Y": [(14, 17, "zum")]}


def test_conllu_plus_says_which_column_holds_the_tags(tmp_path: Path) -> None:
    content = "# global.columns = ID FORM UPOS NER\n# sent_id = s1\n1\tAda\tPROPN\tB-PER\n2\tsaw\tVERB\t_\n\n"
    documents, said = read_file(tmp_path, "a.conllup", content)
    assert (documents[0].doc_id, texts_of(documents[0])) == ("s1", {"PER": ["Ada"]})
    assert "tags in NER" in said[0]
    with pytest.raises(ConfigError, match="CoNLL-U without tags such as B-PER"):
        read_file(tmp_path, "b.conllup", content.replace("B-PER", "_"))


def test_a_text_in_a_comment_is_the_text_of_its_tokens_or_is_told(tmp_path: Path) -> None:
    content = "# text = Ada, here\nAda B-PER\n, O\nhere O\n\n# text = Bob\nEve B-PER\n"
    documents, said = read_file(tmp_path, "a.conll", content)
    assert [document.text for document in documents] == ["Ada, here", "Eve"]
    assert said[1].startswith("1 sentences have a comment with a text that is not that of their tokens")


WEBANNO = """#FORMAT=WebAnno TSV 3.3
#T_SP=de.tudarmstadt.ukp.dkpro.core.api.lexmorph.type.pos.POS|PosValue
#T_SP=de.tudarmstadt.ukp.dkpro.core.api.ner.type.NamedEntity|identifier|value
#T_RL=webanno.custom.Rel|kind|BT_de.tudarmstadt.ukp.dkpro.core.api.ner.type.NamedEntity


#Text=\U0001f600 The U.S. Army\\\\x met
1-1\t0-2\t\U0001f600\t_\t_\t_\t_\t_\t
1-2\t3-6\tThe\tDT\t*[1]\tORG[1]\t_\t_\t
1-3\t7-11\tU.S.\tNN\t*[1]|*\tORG[1]|LOC\tx\t1-2\t
1-4\t12-18\tArmy\\\\x\tNN\t*[1]\tORG[1]\t_\t_\t
1-4.1\t12-16\tArmy\t_\thttp://x\tUNIT\\_A\t_\t_\t
1-5\t19-22\tmet\t_\t_\t_\t_\t_\t

#Text=Ada
2-1\t24-27\tAda\t_\t*\tPER\t_\t_\t
"""


def test_webanno_layers_stacked_labels_and_parts_of_tokens(tmp_path: Path) -> None:
    documents, said = read_file(tmp_path, "report.tsv", WEBANNO)
    [document] = documents
    assert (document.doc_id, document.text) == ("report", "\U0001f600 The U.S. Army\\x met\n\nAda")
    assert texts_of(document) == {"ORG": ["The U.S. Army\\x"], "LOC": ["U.S."], "UNIT_A": ["Army"], "PER": ["Ada"]}
    assert any("layer de.tudarmstadt.ukp.dkpro.core.api.ner.type.NamedEntity" in line for line in said)
    wrong = WEBANNO.replace("19-22\tmet", "18-21\tmet")
    with pytest.raises(ConfigError, match=r"report.tsv, line 13: offsets"):
        read_file(tmp_path, "report.tsv", wrong)
    with pytest.raises(ConfigError, match=r"line 8: has 9 columns, but the layers of its head say 8"):
        read_file(tmp_path, "report.tsv", WEBANNO.replace("\t_\t_\t_\t_\t_\t\n", "\t_\t_\t_\t_\t_\t_\t\n", 1))
    with pytest.raises(ConfigError, match=r"line 1: .*WebAnno TSV 2"):
        read_file(tmp_path, "report.tsv", WEBANNO.replace("TSV 3.3", "TSV 2.0"))


def test_webanno_slots_have_a_column_of_roles_and_one_of_targets(tmp_path: Path) -> None:
    slots = "#T_SP=custom.Event|kind|ROLE_custom.Event:args_custom.EventArgs|custom.Part\n"
    content = (
        f"#FORMAT=WebAnno TSV 3.3\n{slots}#T_SP=de.tudarmstadt.ukp.dkpro.core.api.ner.type.NamedEntity|value\n\n\n"
        "#Text=Ada Byron left Oslo\n"
        "1-1\t0-3\tAda\t_\t_\t_\tPER[1]\t\n1-2\t4-9\tByron\t_\t_\t_\tPER[1]\t\n"
        "1-3\t10-14\tleft\tmove\tagent;from\t1-1[1];1-4\t_\t\n1-4\t15-19\tOslo\t_\t_\t_\tLOC[2]|GPE[3]\t\n"
    )
    [document], _ = read_file(tmp_path, "a.tsv", content)
    assert texts_of(document) == {"PER": ["Ada Byron"], "LOC": ["Oslo"], "GPE": ["Oslo"]}


def test_bytes_that_are_not_utf8_name_their_file_and_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"a.conll, line 2: is not UTF-8"):
        read_file(tmp_path, "a.conll", "Ada B-PER\nJosé O\n".encode("latin-1"))
    with pytest.raises(ConfigError, match="is UTF-16"):
        read_file(tmp_path, "a.conll", "Ada B-PER\n".encode("utf-16"))


def test_a_number_sign_with_a_tag_is_a_token_and_else_a_comment(tmp_path: Path) -> None:
    comments = "#begin document (a); part 000\n# free words: O brother\n# text = # one O\n"
    [document], _ = read_file(tmp_path, "a.conll", f"{comments}# O B-MISC\n#tag O I-MISC\none O O\n#end document\n")
    assert texts_of(document) == {"MISC": ["# #tag"]}
    with pytest.raises(ConfigError, match=r"line 2: expected a token and a tag .* in 3 columns, got '# B-MISC'"):
        read_file(tmp_path, "a.conll", "Ada O B-PER\n# B-MISC\none O O\n")
