"""Learning from what people corrected, at a site, over and over: `markerremover improve`.

    site_folder    a site's folder: weights, history, which weights are in use
    picture_store  annotated pictures, and what makes two the same
    gathering      from reviewed runs into the folder
    validation     the fixed set, and that nothing of it is learnt
    adoption_rule  what adopts new weights
    score_weights  what weights make of the validation set
    rounds, tables the order of the steps, and what is printed
"""
