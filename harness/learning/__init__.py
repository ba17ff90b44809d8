"""What a contract leaves out is learnt: from the application's settings, and from fault-free runs of each job alone.

    contract --settings--> bounds, workers --two rehearsals--> effects, tables, what is volatile --> a told contract

`settings` and `effects` and `tables` are pure; `rehearsal` is what touches the world.
"""
