"""`dpfctl`: what a person types. One module per verb, imported only when the verb is used."""
