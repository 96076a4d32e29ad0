"""The pages of figures in a real browser: true numbers in them, axe, both themes, 320 px."""

import pytest

from review.models import ReviewQueue
from review.services import rounds
from scoring.services import fitting, scorers
from tests.factories import make_api, make_record
from tests.judging import conclude, judge

pytestmark = pytest.mark.django_db(transaction=True)

BASE = "/p/acme/estimates"
QUERIES = [
    "/?queue=default&metric=prevalence&at=tier:2",
    "/?queue=default&metric=recall&at=tier:2&segment=region:eu",
    "/?queue=default&metric=precision&at=tier:4&segment=region:mars",
    "/?queue=default&metric=recall&at=tier:9",
    "/hours/?queue=default&metric=prevalence",
    "/hours/?queue=empty&metric=recall&at=tier:2",
]


@pytest.fixture
def judged(world):
    """A stream of two windows with scores; the first round is timed, every third record violates.

    Violations have higher toxicity, so that there is something to find.
    """
    world.user("owner")
    lead, queue = world.actor("lead"), world.project.queues.get()
    ReviewQueue.objects.create(
        project=world.project, slug="empty", name="Empty", rubric=queue.rubric
    )
    api, engineer = make_api(world.project), world.actor("engineer")

    def send(start, stop):
        records = [
            make_record(
                i,
                signals={"toxicity": (i * 37 % 100) / 100 + (i % 3 == 0)},
                context={"region": "eu" if i % 2 else "us"},
                consent={"review": i % 20 != 7},
            )
            for i in range(start, stop)
        ]
        assert api.post("records", {"records": records}).status_code == 200

    send(0, 100)
    config = {"minimum_records": 40, "tier_rates": [0.5, 0.3, 0.1, 0.05], "review_from_tier": 2}
    scorers.release(engineer, version=fitting.fit(engineer, config=config))
    send(100, 400)
    rounds.run(lead, queue=queue, budget=40)
    judge(api, queue, seconds=36.0)
    send(400, 700)
    rounds.run(lead, queue=queue, budget=80)
    conclude(queue, lambda one: int(one.external_id.rpartition("-")[2]) % 3 == 0)
    return world


def test_the_page_tells_what_the_api_tells(judged):
    client, api = judged.client("engineer"), make_api(judged.project)
    for query in ("metric=prevalence&at=tier:2", "metric=recall&at=tier:2&segment=region:eu"):
        page = client.get(f"{BASE}/?queue=default&{query}")
        told = api.get(f"estimates?queue=default&{query}").json()
        found = page.context["shown"].main.estimate
        assert (found.value, found.low, found.high) == (told["value"], told["low"], told["high"])
        assert f"{100 * found.value:.1f}\u00a0%" in page.content.decode()
    names = [name for name, _ in page.context["shown"].own]
    assert names == ["Over-refusal"]


def test_the_curve_ends_where_the_figure_stands(judged):
    client = judged.client("lead")
    figure = client.get(f"{BASE}/?queue=default").context["shown"].main
    curve = client.get(f"{BASE}/hours/?queue=default").context["curve"]
    last = curve.last
    assert curve.estimate.value == figure.estimate.value
    assert last.width == figure.estimate.high - figure.estimate.low
    assert last.random_width == figure.uniform.high - figure.uniform.low
    assert last.random_found == pytest.approx(figure.estimate.value * figure.estimate.n_verdicts)
    assert last.hours == pytest.approx(last.n_cases * 36 / 3600)
    assert 0 < curve.n_untimed < last.n_cases
    assert last.found > 1.2 * last.n_cases / 3  # scores know something, so review finds more
    assert all(a.found <= b.found for a, b in zip(curve.points, curve.points[1:], strict=False))


def test_a_wrong_field_is_said_at_the_field(judged):
    page = judged.client("lead").get(f"{BASE}/?queue=default&metric=recall&at=tier:9")
    assert page.status_code == 422
    assert page.context["form"].errors["at"]
    assert page.context["shown"] is None


def test_no_page_has_a_violation_in_light_or_dark_nor_scrolls_sideways(judged, visit):
    visitor = visit(judged.user("owner"))
    # One of them asks for what there is not, and is told so at the field.
    assert visitor.faults_of([BASE + query for query in QUERIES], statuses=(200, 422)) == {}
