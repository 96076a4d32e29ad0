"""Steps that the desk's browser tests share."""

from django.urls import reverse

CASE = "#case[data-case]"


def desk_url(world):
    return reverse("review:desk", args=[world.project.slug, world.queue.slug])


def start(visitor, world):
    visitor.open(desk_url(world))
    visitor.page.keyboard.press("Enter")
    visitor.page.wait_for_selector(CASE)


def case_id(page):
    return page.get_attribute("#case", "data-case")


def next_case(page, before, press):
    """Press a key, wait for another case (or none), and for the keys to be live again."""
    page.keyboard.press(press)
    page.wait_for_function(
        "id => document.activeElement.id === 'case' && document.activeElement.dataset.case !== id",
        arg=before,
    )
    page.wait_for_timeout(320)


def go_on(page, name):
    """Press a button that leads to another page, and wait for that."""
    with page.expect_navigation():
        page.get_by_role("button", name=name).click()
