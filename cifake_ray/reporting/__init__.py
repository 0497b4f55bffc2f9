"""Run directories -> DataFrames -> tables, plots and one HTML page. Needs neither Ray nor torch.

`load.load` is the one way to read a run, `tables.comparison_table` compares runs, `report.write_report` writes it all.
"""
