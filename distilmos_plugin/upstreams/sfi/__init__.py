"""Sampling-frequency-independent (SFI) upstreams: a first convolution that is designed anew for the rate of each clip.

Saito, Nakamura, Yatabe, Saruwatari, "Sampling-Frequency-Independent Convolutional Layer and its Application to Audio Source
Separation", IEEE/ACM TASLP 30, 2022; Nishikawa et al., "Multi-Sampling-Frequency Naturalness MOS Prediction Using
Self-Supervised Learning Model with Sampling-Frequency-Independent Layer" (MSR-UTMOS), ASRU 2025, arXiv 2507.14647.
"""
