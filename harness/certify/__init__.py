"""`jobproof certify`: an audit, the scenarios that apply, the crash points of each task, and one verdict."""
