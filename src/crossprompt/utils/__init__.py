"""Small tools that know nothing of the models: config, text, files, processes, devices."""
