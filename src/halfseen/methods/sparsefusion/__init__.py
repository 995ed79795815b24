"""SparseFusion (Zhou and Tulsiani, CVPR 2023): an object from two to six photos. A transformer looks along epipolar lines, a latent
diffusion model that is told what it found imagines views, and a field is distilled from them."""
