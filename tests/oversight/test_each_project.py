"""Scheduled work: what fails in one project is told, and done in all others."""

import pytest
from celery.exceptions import SoftTimeLimitExceeded
from django.db import OperationalError, connection

from oversight.tenancy.each_project import ProjectsFailed, in_each_project


@pytest.mark.django_db
def test_a_project_that_fails_keeps_no_other_waiting(project, other_project):
    done = []

    def fail(one):
        if one == project:
            raise ValueError("odd data")
        done.append(one)
        return 1

    with pytest.raises(ProjectsFailed, match=rf"^{project.slug} \(ValueError\)$"):
        in_each_project(fail)
    assert done == [other_project]
    told = in_each_project(lambda one: one.slug, [other_project, project])
    assert sorted(told) == sorted([project.slug, other_project.slug])


@pytest.mark.django_db
def test_time_that_is_up_is_up_for_all_but_not_the_same_ones_every_time(project, other_project):
    begun = []

    def work(one):
        begun.append(one)
        raise SoftTimeLimitExceeded

    for _ in range(40):
        with pytest.raises(SoftTimeLimitExceeded):
            in_each_project(work)
    assert len(begun) == 40
    assert set(begun) == {project, other_project}


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "statement",
    [
        "SET statement_timeout = '10ms'; SELECT pg_sleep(5)",
        "SELECT pg_terminate_backend(pg_backend_pid())",
    ],
)
def test_a_statement_that_fails_is_one_projects(project, other_project, statement):
    begun = []

    def work(one):
        begun.append(one)
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1" if one == other_project else statement)

    with pytest.raises(ProjectsFailed, match=rf"^{project.slug} \(OperationalError\)$"):
        in_each_project(work)
    assert set(begun) == {project, other_project}
    connection.close()


@pytest.mark.django_db(transaction=True)
def test_a_lost_database_is_everybodys(project, other_project, monkeypatch):
    begun = []

    def work(one):
        begun.append(one)
        monkeypatch.setitem(connection.settings_dict, "NAME", "gone")
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")

    with pytest.raises(OperationalError, match="gone"):
        in_each_project(work)
    assert len(begun) == 1
