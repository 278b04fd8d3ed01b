"""What happens inside a trained network: attention, feature maps, gradients, the effective receptive field."""
