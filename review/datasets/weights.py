"""Weights of rows: what each stands for in the estimate of its stratum, over all its rounds."""



