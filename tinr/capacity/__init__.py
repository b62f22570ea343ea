"""Whether a catalogue fits into the weights that may move, before they are trained.

    calibration   which recall to expect at which load; `calibration.json` beside it is the data
    bits          what a base does not know yet of the documents, in bits
    plan          bits and parameters in; load, recall, exposures and advice out
    check         what align does with a plan
    inquiry       `tinr capacity`: a catalogue and a base by their names
    study         `tinr study capacity`: trainings from which a calibration is fitted, with
                  presets, cells, pupil (one training), fit, table and plot

Source: in-tool against in-weight learning, arXiv 2508.20755.
"""
