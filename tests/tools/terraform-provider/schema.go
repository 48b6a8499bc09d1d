// What a resource is made of, from what the CDK for Terraform writes of it.
package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"

	"github.com/hashicorp/terraform-plugin-go/tfprotov5"
	"github.com/hashicorp/terraform-plugin-go/tftypes"
)

var (
	// The script holds what it was made of. That has comments which the script has not.
	sourceMap = regexp.MustCompile(`(?m)^//# sourceMappingURL=data:application/json;base64,([\w+/=]+)`)

	class        = regexp.MustCompile(`(?m)^export class (\w+) extends cdktf\.(\w+) \{`)
	resourceType = regexp.MustCompile(`tfResourceType = "(\w+)"`)
	providerName = regexp.MustCompile(`providerName: '(\w+)'`)
	// What an argument or attribute is: how it comes to its value, and where that is kept or read.
	member = regexp.MustCompile(`// (\w+) - computed: (\w+), optional: (\w+), required: (\w+)\n(?s:(.*?))\n  \}\n`)
	// What it has of its own where it has parts.
	parts  = regexp.MustCompile(`= new (\w+)\(this, "`)
	getter = regexp.MustCompile(`\bget(\w+)Attribute\(`)
	// How a thing with parts is written in a module: as a block, or as a value.
	written = regexp.MustCompile(`isBlock: (true|false),\s*type: "(\w+)",\s*storageClassType: "(\w+)"`)
)

type schema struct {
	name     string
	response *tfprotov5.GetProviderSchemaResponse
}

// One resource's file.
type file struct {
	// By the names of their classes.
	bodies map[string]string
	// How each is nested, of those that are blocks.
	nesting map[string]string
}

func schemaOf(text string) (*schema, error) {
	response := &tfprotov5.GetProviderSchemaResponse{
		Provider:          &tfprotov5.Schema{Block: &tfprotov5.SchemaBlock{}},
		ResourceSchemas:   map[string]*tfprotov5.Schema{},
		DataSourceSchemas: map[string]*tfprotov5.Schema{},
	}
	found := &schema{response: response}
	for _, encoded := range sourceMap.FindAllStringSubmatch(text, -1) {
		content, err := base64.StdEncoding.DecodeString(encoded[1])
		if err != nil {
			return nil, err
		}
		var sources struct{ SourcesContent []string }
		if err := json.Unmarshal(content, &sources); err != nil {
			return nil, err
		}
		for _, source := range sources.SourcesContent {
			if err := found.add(source); err != nil {
				return nil, err
			}
		}
	}
	if len(response.ResourceSchemas) == 0 {
		return nil, fmt.Errorf("there is no resource in it")
	}
	return found, nil
}

func (s *schema) add(source string) error {
	of := file{bodies: map[string]string{}, nesting: map[string]string{}}
	classes := class.FindAllStringSubmatchIndex(source, -1)
	var resource, kind string
	for i, at := range classes {
		end := len(source)
		if i+1 < len(classes) {
			end = classes[i+1][0]
		}
		name, base := source[at[2]:at[3]], source[at[4]:at[5]]
		of.bodies[name] = source[at[1]:end]
		if strings.HasPrefix(base, "Terraform") {
			resource, kind = name, base
		}
	}
	for _, each := range written.FindAllStringSubmatch(source, -1) {
		if each[1] == "true" {
			of.nesting[strings.TrimSuffix(each[3], "List")] = each[2]
		}
	}
	body := of.bodies[resource]
	name, provider := resourceType.FindStringSubmatch(body), providerName.FindStringSubmatch(body)
	if name == nil || provider == nil {
		return fmt.Errorf("a file has no resource in it")
	}
	block, err := of.block(resource)
	if err != nil {
		return fmt.Errorf("%s: %w", name[1], err)
	}
	s.name = provider[1]
	described := &tfprotov5.Schema{Block: block}
	if kind == "TerraformDataSource" {
		s.response.DataSourceSchemas[name[1]] = described
	} else {
		s.response.ResourceSchemas[name[1]] = described
	}
	return nil
}

func (f file) block(class string) (*tfprotov5.SchemaBlock, error) {
	block := &tfprotov5.SchemaBlock{}
	members := member.FindAllStringSubmatch(f.bodies[class], -1)
	if len(members) == 0 && !strings.Contains(f.bodies[class], "ComplexObject") {
		return nil, fmt.Errorf("%s has nothing in it", class)
	}
	for _, each := range members {
		name, computed, optional, required := each[1], each[2] == "true", each[3] == "true", each[4] == "true"
		made := parts.FindStringSubmatch(each[5])
		if made != nil {
			whole := strings.TrimSuffix(strings.TrimSuffix(made[1], "List"), "OutputReference")
			if nesting, ok := f.nesting[whole]; ok {
				inner, err := f.block(whole + "OutputReference")
				if err != nil {
					return nil, err
				}
				nested := &tfprotov5.SchemaNestedBlock{TypeName: name, Block: inner}
				switch nesting {
				case "struct":
					nested.Nesting = tfprotov5.SchemaNestedBlockNestingModeSingle
				case "list":
					nested.Nesting = tfprotov5.SchemaNestedBlockNestingModeList
				case "set":
					nested.Nesting = tfprotov5.SchemaNestedBlockNestingModeSet
				default:
					return nil, fmt.Errorf("%s is nested as a %s", name, nesting)
				}
				if required && nesting != "struct" {
					nested.MinItems = 1
				}
				// A list that is not made as one has one item.
				if nesting == "list" && strings.HasSuffix(made[1], "OutputReference") {
					nested.MaxItems = 1
				}
				block.BlockTypes = append(block.BlockTypes, nested)
				continue
			}
		}
		block.Attributes = append(block.Attributes, &tfprotov5.SchemaAttribute{
			Name: name, Type: typeOf(each[5], made),
			Computed: computed, Optional: optional, Required: required,
		})
	}
	return block, nil
}

// The type of a value. What has parts and is no block may be anything here.
func typeOf(code string, made []string) tftypes.Type {
	reads := getter.FindStringSubmatch(code)
	switch {
	case made != nil && made[1] == "cdktf.StringMap":
		return tftypes.Map{ElementType: tftypes.String}
	case reads == nil:
		return tftypes.DynamicPseudoType
	}
	switch reads[1] {
	case "String":
		return tftypes.String
	case "Number":
		return tftypes.Number
	case "Boolean":
		return tftypes.Bool
	case "StringMap":
		return tftypes.Map{ElementType: tftypes.String}
	case "List":
		if strings.Contains(code, "Fn.tolist(") {
			return tftypes.Set{ElementType: tftypes.String}
		}
		return tftypes.List{ElementType: tftypes.String}
	default:
		return tftypes.DynamicPseudoType
	}
}
