"""What is said where a process of several is lost, and what is no such loss."""

import pytest
import torch

from examples.errors import UserError
from examples.run.hardware import Hardware, company

LOST = [
    RuntimeError(
        "[/pytorch/third_party/gloo/gloo/transport/tcp/pair.cc:547] Connection closed by peer [127.0.0.1]:1"
    ),
    torch.distributed.DistNetworkError("Failed to recv, got 0 bytes."),
]


@pytest.mark.parametrize("error", LOST, ids=["gloo", "store"])
def test_a_process_that_is_lost_is_a_sentence(error: RuntimeError):
    with (
        pytest.raises(
            UserError, match=r"or was not heard of for 10 minutes;.*The same command, on every machine"
        ) as said,
        company(Hardware(nodes=2)),
    ):
        raise error
    assert said.value.__cause__ is error


def test_other_faults_keep_their_traceback():
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"), company(Hardware(devices=2)):
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")
    with pytest.raises(RuntimeError, match="gloo"), company(Hardware()):
        raise LOST[0]
