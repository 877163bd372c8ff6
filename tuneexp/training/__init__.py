"""Training: operations on a learner, replayed experience, epochs of minibatches, the learner group."""
