"""The relay: the one place where jobs reach the broker, outside any request."""

from celery import current_app, shared_task

from oversight.jobs import services


@shared_task(name="oversight.jobs.ticks.relay")
def relay() -> int:
    return services.hand_over(lambda task, job_id: current_app.send_task(task, args=[job_id]))
