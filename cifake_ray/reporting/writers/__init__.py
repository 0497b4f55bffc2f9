"""The forms of a report. Each writer takes sections and knows no topic."""
