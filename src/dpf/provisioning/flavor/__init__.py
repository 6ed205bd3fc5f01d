"""DPUFlavor: what it says about a DPU, checked, and rendered into the configuration that is installed with a BFB.

Pure: values in, values out. The DPU controller reads what is needed and writes the result where the installation finds
it; admission and `dpfctl` ask the same checks. `render` is the way in, `checks` and `preflight` are the questions.
"""
