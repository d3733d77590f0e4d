"""System calls that a program has no use for, by name, with their numbers.

From the kernel's own tables (``asm/unistd_64.h``; ``asm-generic/unistd.h`` for aarch64). A call
that an architecture never had has no number there.
"""

from __future__ import annotations


def _call(x86_64: int, aarch64: int | None = None) -> dict[str, int]:
    return {"x86_64": x86_64} | ({} if aarch64 is None else {"aarch64": aarch64})


DENIED: dict[str, dict[str, int]] = {
    # another process or thread
    "fork": _call(57),
    "vfork": _call(58),
    "clone": _call(56, 220),
    "clone3": _call(435, 435),
    # a look into, or a hand on, other processes
    "ptrace": _call(101, 117),
    "process_vm_readv": _call(310, 270),
    "process_vm_writev": _call(311, 271),
    "kcmp": _call(312, 272),
    "pidfd_open": _call(434, 434),
    "pidfd_getfd": _call(438, 438),
    "pidfd_send_signal": _call(424, 424),
    "process_madvise": _call(440, 440),
    "process_mrelease": _call(448, 448),
    # another file system
    "mount": _call(165, 40),
    "umount2": _call(166, 39),
    "pivot_root": _call(155, 41),
    "chroot": _call(161, 51),
    "open_tree": _call(428, 428),
    "move_mount": _call(429, 429),
    "fsopen": _call(430, 430),
    "fsconfig": _call(431, 431),
    "fsmount": _call(432, 432),
    "fspick": _call(433, 433),
    "mount_setattr": _call(442, 442),
    "name_to_handle_at": _call(303, 264),
    "open_by_handle_at": _call(304, 265),
    # another namespace
    "unshare": _call(272, 97),
    "setns": _call(308, 268),
    # the network, and everything else that is reached by a socket
    "socket": _call(41, 198),
    # memory that no limit of a process counts
    "memfd_create": _call(319, 279),
    "memfd_secret": _call(447, 447),
    "shmget": _call(29, 194),
    "semget": _call(64, 190),
    "msgget": _call(68, 186),
    "mq_open": _call(240, 180),
    # where kernels were broken before
    "keyctl": _call(250, 219),
    "add_key": _call(248, 217),
    "request_key": _call(249, 218),
    "bpf": _call(321, 280),
    "userfaultfd": _call(323, 282),
    "perf_event_open": _call(298, 241),
    "io_uring_setup": _call(425, 425),
    "io_uring_enter": _call(426, 426),
    "io_uring_register": _call(427, 427),
    "io_setup": _call(206, 0),
    "fanotify_init": _call(300, 262),
    "splice": _call(275, 76),
    "tee": _call(276, 77),
    "vmsplice": _call(278, 75),
    "migrate_pages": _call(256, 238),
    "move_pages": _call(279, 239),
    "mbind": _call(237, 235),
    "set_mempolicy": _call(238, 237),
    "get_mempolicy": _call(239, 236),
    "set_mempolicy_home_node": _call(450, 450),
    "remap_file_pages": _call(216, 234),
    "modify_ldt": _call(154),
    # the machine itself
    "kexec_load": _call(246, 104),
    "kexec_file_load": _call(320, 294),
    "init_module": _call(175, 105),
    "finit_module": _call(313, 273),
    "delete_module": _call(176, 106),
    "create_module": _call(174),
    "reboot": _call(169, 142),
    "swapon": _call(167, 224),
    "swapoff": _call(168, 225),
    "acct": _call(163, 89),
    "quotactl": _call(179, 60),
    "quotactl_fd": _call(443, 443),
    "settimeofday": _call(164, 170),
    "clock_settime": _call(227, 112),
    "adjtimex": _call(159, 171),
    "clock_adjtime": _call(305, 266),
    "syslog": _call(103, 116),
    "personality": _call(135, 92),
    "lookup_dcookie": _call(212, 18),
    "nfsservctl": _call(180, 42),
    "vhangup": _call(153, 58),
    "iopl": _call(172),
    "ioperm": _call(173),
    "uselib": _call(134),
    "ustat": _call(136),
    "sysfs": _call(139),
    "_sysctl": _call(156),
}
