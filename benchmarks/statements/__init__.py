"""Published statements, judged on films whose truth is known and against controls."""
