"""In-context learning, seen by how saliency flows through attention (paper 7.3 and E.2)."""
