"""The attention weights of a few positions, spread over the whole map: to look at.

F reference frames, d channels of query and key, P positions, h w feature rows and columns.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor


@torch.no_grad()
def attention_at(
    query: Tensor,
    key: Tensor,
    points: Sequence[tuple[int, int]],
    *,
    radius: int,
    bias: Tensor | None = None,
) -> Tensor:
    """Weights that `inter_frame_local_attention` uses at some positions of one sample.

    Args:
        query: Of the current frame, (d, h, w).
        key: Of the reference frames, all present, (F, d, h, w).
        points: Row and column of each position.
        radius: Reach of the window, feature pixels.
        bias: Score added to every position of a reference, (F,); None means none.

    Returns:
        (P, F, h, w); each position's weights sum to 1 and are 0 outside its window.
    """
    height, width = query.shape[-2:]
    row, column = torch.tensor(points, device=query.device).unbind(dim=1)
    scores_PFhw = torch.einsum("dp,fdhw->pfhw", query[:, row, column].float(), key.float())
    scores_PFhw = scores_PFhw / math.sqrt(query.shape[0])
    if bias is not None:
        scores_PFhw = scores_PFhw + bias.view(1, -1, 1, 1)
    near_Ph1 = (torch.arange(height, device=query.device) - row[:, None]).abs() <= radius
    near_P1w = (torch.arange(width, device=query.device) - column[:, None]).abs() <= radius
    near_P1hw = (near_Ph1[:, :, None] & near_P1w[:, None, :]).unsqueeze(1)
    scores_PFhw = scores_PFhw.masked_fill(~near_P1hw, -math.inf)
    return scores_PFhw.flatten(1).softmax(dim=1).view_as(scores_PFhw)
