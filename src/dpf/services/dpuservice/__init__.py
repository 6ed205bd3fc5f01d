"""DPUService: a Helm chart on the nodes of the selected DPUClusters, delivered by Argo CD."""
