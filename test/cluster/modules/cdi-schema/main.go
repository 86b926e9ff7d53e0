// SPDX-License-Identifier: Apache-2.0

// Checks CDI files against the schema that the makers of CDI publish: cdi-schema FILE...
package main

import (
	"bytes"
	"fmt"
	"os"

	"sigs.k8s.io/yaml"
	"tags.cncf.io/container-device-interface/schema"
)

func check(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	json, err := yaml.YAMLToJSON(text)
	if err != nil {
		return err
	}
	_, err = schema.BuiltinSchema().ReadAndValidate(bytes.NewReader(json))
	return err
}

func main() {
	status := 0
	for _, path := range os.Args[1:] {
		if err := check(path); err != nil {
			fmt.Printf("%s: %v\n", path, err)
			status = 1
		}
	}
	os.Exit(status)
}
