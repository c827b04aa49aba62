"""Answers to the VoiceMOS and AudioMOS Challenges: pack, check, score.

``formats`` says what each challenge wants, ``answers`` reads and writes its files, ``packing`` goes from scores to an answer,
``judging`` from an answer and the released truth to the official figures.
"""
