"""NerfDiff (Gu et al., ICML 2023): a whole object from one photo. A network predicts a field, a diffusion model that sees its
renderings imagines other views, and the field is distilled from them."""
