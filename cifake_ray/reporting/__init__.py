"""Run directories -> DataFrames -> tables, plots and one HTML page. Needs neither Ray nor torch.

`load.load` is the one way to read a run; `sections` hold what is said of runs, one topic a file; `writers` show
sections; `report.write_report` writes it all.
"""
