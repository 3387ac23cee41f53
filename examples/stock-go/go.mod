module example.org/spell

go 1.24
