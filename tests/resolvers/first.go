package main

import (
	"fmt"
	"net"
	"os"
	"strconv"
)

func main() {
	count, _ := strconv.Atoi(os.Args[2])
	for i := 0; i < count; i++ {
		addresses, err := net.LookupHost(os.Args[1])
		if err != nil {
			panic(err)
		}
		fmt.Println(addresses[0])
	}
}
