"""The fork server: processes of a run that are forked from one which has done the imports."""
