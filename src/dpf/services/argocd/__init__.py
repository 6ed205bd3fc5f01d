"""What this project tells Argo CD: Applications, AppProjects and cluster Secrets, built from plain values."""
