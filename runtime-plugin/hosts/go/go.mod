module katavfio

go 1.19
