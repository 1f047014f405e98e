module tocsin.example/deny-list

go 1.21
