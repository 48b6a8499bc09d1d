// health-rule asks a rule of ArgoCD, which is written in Lua, how an object is: the object is JSON on standard
// input, the answer JSON on standard output.
//
// It goes about it as ArgoCD 3.5 does (util/lua): gopher-lua with the object as the global `obj`, a second of
// time, and of Lua's libraries only base, package and table, unless `--open-libs`, which is
// `resource.customizations.useOpenLibs.GROUP_KIND: "true"` there.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	lua "github.com/yuin/gopher-lua"
	luajson "layeh.com/gopher-json"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(arguments []string) error {
	open := len(arguments) == 2 && arguments[1] == "--open-libs"
	if len(arguments) != 1 && !open {
		return fmt.Errorf("usage: health-rule FILE [--open-libs] <OBJECT")
	}
	object, err := io.ReadAll(os.Stdin)
	if err != nil {
		return err
	}
	state := lua.NewState(lua.Options{SkipOpenLibs: !open})
	defer state.Close()
	libraries := []struct {
		name string
		open lua.LGFunction
	}{{lua.LoadLibName, lua.OpenPackage}, {lua.BaseLibName, lua.OpenBase}, {lua.TabLibName, lua.OpenTable}}
	for _, library := range libraries {
		call := lua.P{Fn: state.NewFunction(library.open), Protect: true}
		if err := state.CallByParam(call, lua.LString(library.name)); err != nil {
			return err
		}
	}
	limited, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	state.SetContext(limited)
	value, err := luajson.Decode(state, object)
	if err != nil {
		return err
	}
	state.SetGlobal("obj", value)
	if err := state.DoFile(arguments[0]); err != nil {
		return err
	}
	health, err := luajson.Encode(state.Get(-1))
	if err != nil {
		return err
	}
	_, err = fmt.Println(string(health))
	return err
}
