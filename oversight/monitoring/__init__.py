"""What operators watch: metrics of every request, the state of queues and tasks, findings."""
