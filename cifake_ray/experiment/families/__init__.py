"""The settings of each family of models, one file each, without torch and Ray; `experiment.model` lists the classes."""
