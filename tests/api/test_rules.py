"""`/api/v1/policies`, `rubrics`, `queues`: who may, what is refused where, what is frozen."""

import pytest
from django.db import DatabaseError, transaction

from review.models import Clause, Policy, PolicyVersion, Question, ReviewQueue, RubricVersion
from tests.worlds import Api

CLAUSE = {"key": "harm", "title": "Harm", "text": "Does **harm**.", "severity": "high"}
QUESTION = {
    "key": "harmful",
    "text": "Harmful?",
    "kind": "boolean",
    "required": True,
    "clauses": ["harm"],
    "violation": {"in": [True]},
}
POLICY = "policies/conversations"
RUBRIC = "rubrics/conversations"

# Route, method, the scopes that open it, and a body that would do it.
READERS = {"records:read", "review", "policies:write", "datasets:read", "datasets:write", "admin"}
WRITERS = {"policies:write", "admin"}
ROUTES = [
    ("GET", "policies", READERS, None),
    ("POST", "policies", WRITERS, {"slug": "new"}),
    ("GET", f"{POLICY}/versions", READERS, None),
    ("POST", f"{POLICY}/versions", WRITERS, {"clauses": [CLAUSE]}),
    ("GET", f"{POLICY}/versions/1", READERS, None),
    ("PUT", f"{POLICY}/versions/2", WRITERS, {"clauses": [CLAUSE]}),
    ("POST", f"{POLICY}/versions/2/publish", WRITERS, {}),
    ("GET", f"{POLICY}/versions/2/diff?against=1", READERS, None),
    ("GET", "rubrics", READERS, None),
    ("POST", "rubrics", WRITERS, {"slug": "new"}),
    ("GET", f"{RUBRIC}/versions", READERS, None),
    ("POST", f"{RUBRIC}/versions", WRITERS, {"questions": []}),
    ("GET", f"{RUBRIC}/versions/1", READERS, None),
    ("PUT", f"{RUBRIC}/versions/2", WRITERS, {"questions": []}),
    ("POST", f"{RUBRIC}/versions/2/publish", WRITERS, {}),
    ("GET", f"{RUBRIC}/versions/2/diff?against=1", READERS, None),
    ("GET", "queues", READERS, None),
    ("POST", "queues", WRITERS, {"slug": "new", "rubric": "conversations"}),
    ("GET", "queues/default", READERS, None),
    ("PATCH", "queues/default", WRITERS, {"budget": 3}),
]
SCOPES = sorted(READERS | WRITERS | {"records:write"})


def paths(answer):
    return [error["path"] for error in answer.json()["errors"]]


@pytest.fixture
def drafts(world):
    """Version 2 of policy and rubric, as drafts."""
    api = world.api("policies:write")
    plain = api("GET", f"{RUBRIC}/versions/1").json()["questions"]
    assert api("POST", f"{POLICY}/versions", {"clauses": [CLAUSE]}).status_code == 201
    assert api("POST", f"{RUBRIC}/versions", {"questions": plain}).status_code == 201
    return api


@pytest.mark.parametrize("scope", SCOPES)
def test_each_scope_opens_what_it_says_and_nothing_else(world, drafts, scope):
    api = world.api(scope)
    wrong = []
    for method, path, scopes, body in ROUTES:
        point = transaction.savepoint()
        status = api(method, path, body).status_code
        transaction.savepoint_rollback(point)
        if (status < 300) != (scope in scopes) or (scope not in scopes and status != 403):
            wrong.append((method, path, status))
    assert wrong == []


def test_nobody_is_refused_and_a_foreign_key_finds_nothing(world, drafts, other_world):
    foreign = other_world.api("admin")
    for slug in ("policies", "rubrics"):
        drafts("POST", slug, {"slug": "ours"})
    drafts("POST", "queues", {"slug": "ours", "rubric": "conversations"})
    for method, path, _, body in ROUTES:
        assert Api(None)(method, path, body).status_code == 401
        ours = path.replace("conversations", "ours").replace("default", "ours")
        if ours != path:
            assert foreign(method, ours, body).status_code == 404, path
    listed = foreign("GET", "policies").json()["results"]
    assert [row["slug"] for row in listed] == ["conversations"]
    assert foreign("GET", f"{POLICY}/versions/2").status_code == 404


def test_a_browser_session_works_too_and_needs_its_token(world, other_world):
    browser = world.client("policy_admin")
    assert browser.get("/api/v1/policies").status_code == 200
    assert browser.get("/api/v1/policies?project=globex").status_code == 404
    browser.handler.enforce_csrf_checks = True
    answer = browser.post("/api/v1/policies", {"slug": "x"}, content_type="application/json")
    assert answer.status_code == 403
    assert not Policy.objects.filter(slug="x").exists()


def test_a_policy_goes_from_draft_to_published_to_superseded(world):
    api = world.api("policies:write")
    assert api("POST", "policies", {"slug": "tone", "name": "Tone"}).json() == {
        "slug": "tone",
        "name": "Tone",
        "published": None,
        "draft": None,
        "latest": None,
    }
    first = api("POST", "policies/tone/versions", {"clauses": [CLAUSE]}).json()
    assert (first["number"], first["status"], first["published_at"]) == (1, "draft", None)
    published = api("POST", "policies/tone/versions/1/publish", {"digest": first["digest"]})
    assert published.json()["status"] == "published"
    assert published.json()["digest"] == first["digest"]
    gentler = {**CLAUSE, "text": "Does harm."}
    second = api("POST", "policies/tone/versions", {"clauses": [gentler]}).json()
    assert second["digest"] != first["digest"]
    api("POST", "policies/tone/versions/2/publish", {})
    rows = api("GET", "policies/tone/versions").json()["results"]
    assert [(row["number"], row["status"]) for row in rows] == [
        (2, "published"),
        (1, "superseded"),
    ]


def test_the_digest_of_a_clause_depends_on_what_it_says_alone(world):
    api = world.api("policies:write")
    versions = [
        api("POST", f"{POLICY}/versions", {"clauses": [clause]}).json()["clauses"][0]["digest"]
        for clause in (
            CLAUSE,
            dict(reversed(CLAUSE.items())),
            {**CLAUSE, "severity": 3},
            {**CLAUSE, "title": "harm"},
            {**CLAUSE, "severity": "low"},
        )
    ]
    assert versions[0] == versions[1] == versions[2]
    assert len(set(versions)) == 3


class TestFrozen:
    def test_a_published_version_takes_no_edit(self, world):
        api = world.api("policies:write")
        for path, body in ((POLICY, {"clauses": [CLAUSE]}), (RUBRIC, {"questions": []})):
            answer = api("PUT", f"{path}/versions/1", body)
            assert (answer.status_code, answer.json()["code"]) == (409, "frozen")
            answer = api("POST", f"{path}/versions/1/publish", {})
            assert (answer.status_code, answer.json()["code"]) == (409, "frozen")

    @pytest.mark.parametrize(
        "change",
        [
            lambda: PolicyVersion.objects.update(introduction="x"),
            lambda: PolicyVersion.objects.update(digest="x"),
            lambda: PolicyVersion.objects.update(published_at=None),
            lambda: Clause.objects.update(text="x"),
            lambda: Clause.objects.first().delete(),
            lambda: Clause.objects.create(
                version=PolicyVersion.objects.get(), key="x", position=9, digest=""
            ),
            lambda: Question.objects.update(text="x"),
            lambda: Question.objects.first().delete(),
            lambda: RubricVersion.objects.update(changelog="x"),
            lambda: RubricVersion.objects.get().delete(),
        ],
    )
    def test_nor_does_the_database_let_anybody_round_the_services(self, world, change):
        with pytest.raises(DatabaseError, match="pgtrigger: Cannot"), transaction.atomic():
            change()

    def test_a_draft_is_edited_freely(self, world, drafts):
        body = {"clauses": [CLAUSE, {**CLAUSE, "key": "more"}], "introduction": "Read this."}
        saved = drafts("PUT", f"{POLICY}/versions/2", body).json()
        assert [clause["key"] for clause in saved["clauses"]] == ["harm", "more"]
        assert drafts("GET", f"{POLICY}/versions/2").json() == saved

    def test_a_draft_that_changed_since_it_was_read_is_neither_saved_nor_published(self, drafts):
        seen = drafts("GET", f"{POLICY}/versions/2").json()["digest"]
        drafts("PUT", f"{POLICY}/versions/2", {"clauses": [{**CLAUSE, "title": "Other"}]})
        mine = {"clauses": [CLAUSE], "digest": seen, "introduction": "mine"}
        for method, path, body in (
            ("PUT", f"{POLICY}/versions/2", mine),
            ("POST", f"{POLICY}/versions/2/publish", {"digest": seen}),
        ):
            answer = drafts(method, path, body)
            assert (answer.status_code, answer.json()["code"]) == (409, "stale")
        now = drafts("GET", f"{POLICY}/versions/2").json()
        assert (now["status"], now["clauses"][0]["title"]) == ("draft", "Other")

    def test_an_older_draft_is_not_published_over_a_newer_version(self, drafts):
        drafts("POST", f"{POLICY}/versions", {"clauses": [CLAUSE]})
        assert drafts("POST", f"{POLICY}/versions/3/publish", {}).status_code == 200
        answer = drafts("POST", f"{POLICY}/versions/2/publish", {})
        assert (answer.status_code, answer.json()["code"]) == (409, "later_published")


class TestRubricsRestOnPolicies:
    def test_a_draft_whose_policy_was_replaced_is_not_published(self, drafts):
        drafts("POST", f"{POLICY}/versions/2/publish", {})
        answer = drafts("POST", f"{RUBRIC}/versions/2/publish", {})
        assert (answer.status_code, answer.json()["code"]) == (409, "policy_not_published")

    def test_it_cannot_rest_on_a_draft_when_it_is_published(self, drafts):
        body = {"questions": [QUESTION], "policy_version": 2}
        assert drafts("POST", f"{RUBRIC}/versions", body).status_code == 201
        answer = drafts("POST", f"{RUBRIC}/versions/3/publish", {})
        assert answer.json()["code"] == "policy_not_published"

    def test_a_clause_that_left_the_policy_draft_is_noticed_at_publishing(self, drafts):
        drafts("POST", f"{RUBRIC}/versions", {"questions": [QUESTION], "policy_version": 2})
        drafts("PUT", f"{POLICY}/versions/2", {"clauses": [{**CLAUSE, "key": "other"}]})
        drafts("POST", f"{POLICY}/versions/2/publish", {})
        answer = drafts("POST", f"{RUBRIC}/versions/3/publish", {})
        assert answer.status_code == 400
        assert paths(answer) == ["questions[0].clauses[0]"]

    def test_a_policy_of_another_project_is_unknown(self, world, other_world):
        api = world.api("policies:write")
        other_world.api("policies:write")("POST", "policies", {"slug": "theirs"})
        body = {"questions": [], "policy": "theirs"}
        assert paths(api("POST", f"{RUBRIC}/versions", body)) == ["policy"]

    @pytest.mark.parametrize(
        ("questions", "path"),
        [
            ([], "questions"),
            ([{**QUESTION, "violation": None}], "questions"),
            (
                [QUESTION, {**QUESTION, "key": "again"}],
                "questions[1].violation",
            ),
            ([{**QUESTION, "required": False}], "questions[0].required"),
            ([{**QUESTION, "clauses": []}], "questions[0].clauses"),
        ],
    )
    def test_exactly_one_question_says_what_counts_as_a_violation(self, drafts, questions, path):
        drafts("POST", f"{POLICY}/versions/2/publish", {})
        body = {"questions": questions}
        number = drafts("POST", f"{RUBRIC}/versions", body).json()["number"]
        answer = drafts("POST", f"{RUBRIC}/versions/{number}/publish", {})
        assert (answer.status_code, paths(answer)) == (400, [path])


OPTIONS = [{"value": "a", "label": "A"}, {"value": "b", "label": "B"}]


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"key": "Not a key"}, "questions[0].key"),
        ({"key": 7}, "questions[0].key"),
        ({"text": " "}, "questions[0].text"),
        ({"kind": "essay"}, "questions[0].kind"),
        ({"kind": ["boolean"]}, "questions[0].kind"),
        ({"required": "yes"}, "questions[0].required"),
        ({"clauses": ["nope"]}, "questions[0].clauses[0]"),
        ({"clauses": [{"key": "harm"}]}, "questions[0].clauses[0]"),
        ({"clauses": "harm"}, "questions[0].clauses"),
        ({"options": OPTIONS}, "questions[0].options"),
        ({"kind": "choice"}, "questions[0].options"),
        ({"kind": "choice", "options": OPTIONS[:1]}, "questions[0].options"),
        ({"kind": "choice", "options": [str(n) for n in range(10)]}, "questions[0].options"),
        ({"kind": "choice", "options": [*OPTIONS, OPTIONS[0]]}, "questions[0].options[2]"),
        ({"kind": "choice", "options": ["a", {"value": ["b"]}]}, "questions[0].options[1]"),
        ({"kind": "scale"}, "questions[0].options"),
        ({"kind": "scale", "options": {"min": 1, "max": 10}}, "questions[0].options"),
        ({"kind": "scale", "options": {"min": 1.5, "max": 3}}, "questions[0].options"),
        (
            {"kind": "scale", "options": {"min": 1, "max": 3, "labels": {"4": "x"}}},
            "questions[0].options.labels",
        ),
        ({"kind": "number", "options": {"min": 3, "max": 1}}, "questions[0].options"),
        ({"violation": {"in": ["yes"]}}, "questions[0].violation.in[0]"),
        ({"kind": "text"}, "questions[0].violation.in"),
        ({"colour": "red"}, "questions[0].colour"),
    ],
)
def test_a_wrong_question_is_refused_at_its_path(world, change, path):
    api = world.api("policies:write")
    question = {**QUESTION, "clauses": ["privacy"], **change}
    answer = api("POST", f"{RUBRIC}/versions", {"questions": [question]})
    assert (answer.status_code, paths(answer)) == (400, [path])
    assert RubricVersion.objects.filter(rubric__project=world.project).count() == 1


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"key": ""}, "clauses[1].key"),
        ({"key": "harm"}, "clauses[1].key"),
        ({"title": "x" * 201}, "clauses[1].title"),
        ({"text": None}, "clauses[1].text"),
        ({"severity": 5}, "clauses[1].severity"),
        ({"severity": True}, "clauses[1].severity"),
        ({"digest": "mine"}, "clauses[1].digest"),
    ],
)
def test_a_wrong_clause_is_refused_at_its_path(world, change, path):
    second = {**CLAUSE, "key": "second", **change}
    answer = world.api("policies:write")(
        "POST", f"{POLICY}/versions", {"clauses": [CLAUSE, second]}
    )
    assert (answer.status_code, paths(answer)) == (400, [path])


def test_fields_that_are_not_the_writers_change_nothing(world, other_world):
    api = world.api("policies:write")
    foreign = {
        "id": 999,
        "project": other_world.project.pk,
        "status": "published",
        "number": 77,
        "created_by": 1,
        "published_at": "2026-01-01T00:00:00Z",
        "policy_id": 1,
    }
    api("POST", "policies", {"slug": "mine", **foreign})
    assert Policy.objects.get(slug="mine").project == world.project
    made = api("POST", f"{POLICY}/versions", {"clauses": [CLAUSE], **foreign}).json()
    assert (made["number"], made["status"], made["published_at"]) == (2, "draft", None)
    api("PATCH", "queues/default", {"budget": 7, "slug": "renamed", **foreign})
    queue = ReviewQueue.objects.get(project=world.project)
    assert (queue.slug, queue.budget) == ("default", 7)


def test_a_difference_is_told_word_by_word(world, drafts):
    before = {"clauses": [CLAUSE, {**CLAUSE, "key": "gone"}], "introduction": "Read this."}
    after = {
        "clauses": [{**CLAUSE, "text": "Does **great harm**.", "severity": "low"}],
        "introduction": "Read that.",
    }
    drafts("POST", f"{POLICY}/versions", before)
    drafts("POST", f"{POLICY}/versions", after)
    told = drafts("GET", f"{POLICY}/versions/4/diff").json()
    assert told["introduction"] == [
        {"op": "equal", "text": "Read "},
        {"op": "delete", "text": "this"},
        {"op": "insert", "text": "that"},
        {"op": "equal", "text": "."},
    ]
    changes = {change["key"]: change for change in told["clauses"]}
    assert (changes["harm"]["change"], changes["gone"]["change"]) == ("changed", "removed")
    assert changes["harm"]["fields_changed"] == {"severity": ["high", "low"]}
    runs = changes["harm"]["texts"]["text"]
    assert "".join(r["text"] for r in runs if r["op"] != "insert") == CLAUSE["text"]
    assert "".join(r["text"] for r in runs if r["op"] != "delete") == "Does **great harm**."


@pytest.mark.parametrize("against", ["x", "-1", "1.5", "99999999999", "%00", "77"])
def test_a_difference_with_what_is_not_there_is_refused(drafts, against):
    answer = drafts("GET", f"{POLICY}/versions/2/diff?against={against}")
    assert answer.status_code in (400, 404)


def test_lists_page_by_keyset(world):
    api = world.api("policies:write")
    slugs = [f"p-{number}" for number in range(5)]
    for slug in reversed(slugs):
        api("POST", "policies", {"slug": slug})
    seen, cursor = [], ""
    while cursor is not None:
        page = api("GET", f"policies?limit=2&cursor={cursor}").json()
        seen += [row["slug"] for row in page["results"]]
        cursor = page["next"]
    assert seen == ["conversations", *slugs]


@pytest.mark.parametrize("query", ["limit=0", "limit=x", "limit=99999", "cursor=!!", "cursor=W10"])
def test_a_wrong_page_is_refused(world, query):
    assert world.api("review")("GET", f"policies?{query}").status_code == 400
