"""The bridge: EasyEdit's methods behind the suite's own protocol.

``tree`` finds an EasyEdit, ``recipes`` says what is known of its methods, ``loading`` loads their
modules, ``shield`` keeps the process and the model safe from them, ``settings`` makes their
hyperparameters, and ``method`` turns an edit into an update. The first two import no torch.
"""
