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
    assert in_each_project(lambda one: one.slug, [other_project, project]) == [
        project.slug,
        other_project.slug,
    ]


@pytest.mark.django_db
def test_time_that_is_up_is_up_for_all(project, other_project):
    begun = []

    def work(one):
        begun.append(one)
        raise SoftTimeLimitExceeded

    with pytest.raises(SoftTimeLimitExceeded):
        in_each_project(work)
    assert begun == [project]


@pytest.mark.django_db(transaction=True)
def test_a_statement_that_fails_is_one_projects_and_a_lost_database_everybodys(
    project, other_project
):
    def run(statement):
        begun = []

        def work(one):
            begun.append(one)
            with connection.cursor() as cursor:
                cursor.execute(statement)

        return begun, work

    begun, work = run("SET statement_timeout = '10ms'; SELECT pg_sleep(5)")
    with pytest.raises(ProjectsFailed, match="OperationalError"):
        in_each_project(work)
    assert begun == [project, other_project]
    begun, work = run("SELECT pg_terminate_backend(pg_backend_pid())")
    with pytest.raises(OperationalError):
        in_each_project(work)
    assert begun == [project]
    connection.close()
