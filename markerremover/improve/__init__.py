"""Learning from what people corrected, at a site, over and over: `markerremover improve`.

    folder      a site's folder: weights, history, which weights are in use    pictures    annotated pictures, and what makes two the same
    gathering   from reviewed runs into the folder                             validation  the fixed set, and that nothing of it is learnt
    rule        what adopts new weights                                        looking     what weights make of the validation set
    rounds      the order of the steps                                         tables, cli what is printed; the subcommand
"""
