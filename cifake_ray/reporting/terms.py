"""What the short names of columns mean, wherever a section uses them."""

TERMS = {
    "Constant answer %": "Share of the larger class: what one answer to everything reaches",
    "Balanced %": "Mean of the shares of FAKE and of REAL images that are judged rightly",
    "R.Acc %": "Share of REAL images that is judged rightly",
    "F.Acc %": "Share of FAKE images that is judged rightly",
    "AP": "Average precision of FAKE: precision at every recall, averaged",
    "AUC": "Area under the ROC curve: how often a FAKE image has a higher probability of FAKE than a REAL one",
    "F1 of FAKE": "Harmonic mean of precision and recall of FAKE, at probability 0.5",
    "F1 (FAKE)": "Harmonic mean of precision and recall of FAKE, at probability 0.5",
    "ECE": "Expected calibration error: mean distance of confidence and accuracy, 15 bins",
    "p": "Probability of a difference as large by chance alone",
    "p, Holm": "The same, corrected for the number of pairs",
}
