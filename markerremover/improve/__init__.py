"""Repeated learning from the corrections of a site: `markerremover improve`.

    site_folder    a site's folder: weights, history, which weights are in use
    picture_store  annotated pictures, identified by their pixels
    gathering      from reviewed runs into the folder
    validation     the fixed validation set, which is never trained on
    adoption_rule  whether new weights are adopted
    score_weights  results of weights on the validation set
    due            whether it is time for a round
    rounds, tables the steps of a round, and the printed tables
"""
